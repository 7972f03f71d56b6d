"""The table of exported formats: each file is run and compared with its checkpoint: pixels, AP and latency."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS

from benchmarks.format_rows import ROWS, FormatRow
from rtmo_plugin.api import evaluate, export
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.data.stored_images import read_stored_image
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.engine.metric_tables import find_average_precision
from rtmo_plugin.errors import ConfigError, UserError
from rtmo_plugin.media.image_files import write_image
from rtmo_plugin.ops.arrays import pairwise_iou
from rtmo_plugin.pose.checkpoint_model import CheckpointModel
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.letterbox import Image
from rtmo_plugin.speed.rounds import PAUSE_S, time_alternately
from rtmo_plugin.speed.speed_report import SpeedReport

_DEMO = "work_dirs/demo/epoch_6.pth"  # of `make demo`
_SCORE_THR = 0.3
_SAME_BOX = 0.8  # IoU; a person without such a box in the file's people is missing
_PYTORCH = "PyTorch"
_COLUMNS = {
    "runtime": ("runtime", "s"),
    "MB": ("megabytes", ".1f"),
    "worst px": ("worst_px", ".2f"),
    "99 % px": ("most_px", ".3f"),
    "missing": ("missing", "d"),
    "AP": ("ap", ".3f"),
    "CPU ms": ("milliseconds", ".1f"),
    "note": ("note", "s"),
}


@dataclass(frozen=True)
class Subject:
    """Checkpoint, config and images that all formats are compared on."""

    config: str | Path
    checkpoint: str | Path
    images: tuple[Image, ...]
    expected: tuple[Detections, ...]
    folder: Path


def run(
    *, checkpoint: str = _DEMO, config: str | None = None, num_images: int = 20, rounds: int = 5, only: str = ""
) -> SpeedReport:
    """Export a checkpoint to every format, and compare each file with the checkpoint on the test data of its config.

    Every side computes with one thread, and its CPU time is measured, which other programs disturb least.

    Args:
        checkpoint: Checkpoint to export.
        config: Config of the checkpoint. Default: the one that it carries.
        num_images: Number of test images whose keypoints are compared and whose latency is measured; AP is of all.
        rounds: Number of times that each side sees every image.
        only: Text that the names of the rows contain. Default: all rows.

    Raises:
        UserError: The checkpoint or the data cannot be used, or no row has such a name.
    """
    rows = [row for row in ROWS if only in row.name]
    if not rows:
        raise ConfigError(f"formats: no row contains {only!r}; the rows are {', '.join(row.name for row in ROWS)}.")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        images = _read_images(config or checkpoint, num_images)
        model = CheckpointModel(config or checkpoint, checkpoint, score_thr=_SCORE_THR, device="cpu")
        expected = tuple(model.predict_batch([image])[0] for image in images)
        subject = Subject(config or checkpoint, checkpoint, images, expected, Path(folder))
        sides: dict[str, dict[str, Any]] = {_PYTORCH: {"runtime": "torch", "ap": _measure_ap(subject, checkpoint)}}
        runs: dict[str, Callable[[], Any]] = {_PYTORCH: lambda: [model.predict_batch([each]) for each in images]}
        for number, row in enumerate(rows):
            sides[row.name], found = _try_row(row, subject, number)
            if found is not None:
                runs[row.name] = _make_side(found, images)
        timings, _ = time_alternately(runs, rounds, pause=PAUSE_S)
        for each in timings:
            sides[each.name]["milliseconds"] = 1000 * each.median_cpu / len(images)
    return SpeedReport(
        f"Exported formats of {Path(checkpoint).name}, compared with PyTorch on {len(images)} images",
        f"python -m benchmarks formats --checkpoint {checkpoint} --num-images {num_images} --rounds {rounds}",
        _COLUMNS,
        tuple({"name": name, **values} for name, values in sides.items()),
        {"config": str(config or "of the checkpoint"), "num_images": len(images), "rounds": rounds},
        {"people": sum(map(len, expected))},
    )


def _read_images(config: str | Path, number: int) -> tuple[Image, ...]:
    """Return the first images of the test data of a config."""
    cfg = load_config(config)
    init_default_scope(cfg.get("default_scope", "mmpose"))
    with suppress_library_noise():
        dataset = DATASETS.build(cfg.test_dataloader.dataset)
    infos = (dataset.get_data_info(index) for index in range(min(number, len(dataset))))
    return tuple(read_stored_image(info["img_path"]) for info in infos)


def _try_row(row: FormatRow, subject: Subject, number: int) -> tuple[dict[str, Any], ExportedModel | None]:
    """Return the values of a row, and its model if it runs here; what cannot be done is its note."""
    values: dict[str, Any] = {"runtime": row.runtime, "test": row.test, "note": row.note or None}
    if missing := [each for each in row.packages if find_spec(each) is None]:
        return {**values, "note": f"not tried: {', '.join(missing)} is not installed"}, None
    path = subject.folder / f"{number}{row.suffix}"
    try:
        result = export(subject.config, subject.checkpoint, path, **_complete_options(row, subject))
    except UserError as error:
        return {**values, "note": f"not written: {error}"}, None
    written = [each for found in subject.folder.glob(f"{number}.*") for each in (found, *found.rglob("*"))]
    values["megabytes"] = sum(each.stat().st_size for each in written if each.is_file()) / 1e6
    values["share_of_tolerance"] = getattr(result.differences, result.differences.find_largest())
    if row.runtime is None:
        return values, None
    model = ExportedModel(path, score_thr=_SCORE_THR, runtime=row.runtime, precision=row.precision, threads=1)
    values |= compare_with_checkpoint(model.predict, subject)
    values["ap"] = _measure_ap(subject, path)
    return values, model


def _complete_options(row: FormatRow, subject: Subject) -> dict[str, Any]:
    """Return the options of an export, with the images of a quantized one."""
    options = dict(row.options)
    if options.get("int8"):
        folder = subject.folder / "images"
        folder.mkdir(exist_ok=True)
        for index, image in enumerate(subject.images):
            write_image(folder / f"{index}.png", image)
        options["int8_images"] = folder
    return options


def _measure_ap(subject: Subject, model: str | Path) -> float | None:
    return find_average_precision(evaluate(subject.config, model))


def compare_with_checkpoint(find: Callable[[Image], Detections], subject: Subject) -> dict[str, Any]:
    """Return the distances of keypoints from the checkpoint's in pixels, and the number of missing people."""
    distances, num_missing = [np.zeros(0)], 0
    for image, expected in zip(subject.images, subject.expected):
        found = find(image)
        overlaps = pairwise_iou(expected.boxes, found.boxes) if len(found) else np.zeros((len(expected), 1))
        for person, overlap in enumerate(overlaps):
            if overlap.max() < _SAME_BOX:
                num_missing += 1
                continue
            difference = found.keypoints[overlap.argmax()] - expected.keypoints[person]
            distances.append(np.linalg.norm(difference, axis=-1))
    together = np.concatenate(distances)
    if not together.size:
        return {"missing": num_missing}
    return {
        "worst_px": float(together.max()),
        "most_px": float(np.percentile(together, 99)),
        "missing": num_missing,
    }


def _make_side(model: ExportedModel, images: Sequence[Image]) -> Callable[[], Mapping[str, int]]:
    return lambda: {"people": sum(len(model.predict(image)) for image in images)}
