"""Time to find people, from an image in memory to keypoints, beside MMPose, rtmlib and YOLO."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inference_sides import (
    Find,
    export_ours,
    locate_peers,
    open_crowds,
    open_theirs,
    open_yolo,
)
from benchmarks.timing_report import compare_timings
from rtmo_plugin import Pose
from rtmo_plugin.errors import ConfigError, MissingFileError
from rtmo_plugin.media.image_files import write_image
from rtmo_plugin.media.images import read_image
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.letterbox import Image
from rtmo_plugin.speed.fresh_process import run_in_fresh_process
from rtmo_plugin.speed.rounds import PAUSE_S, time_alternately
from rtmo_plugin.speed.sample_images import make_noise, read_samples
from rtmo_plugin.speed.speed_report import SpeedReport

_FILE_ROUNDS = 5
_COLD_STARTS = 3


def run(
    *,
    peers: str | None = None,
    yolo: str | None = None,
    images: str | None = None,
    num_images: int = 5,
    threads: int | None = None,
    rounds: int = 20,
    int8: bool = False,
) -> SpeedReport:
    """Measure all sides in turn, one image after the other, batch 1; then files, cold start, and a GPU if there is one.

    Args:
        peers: Folder with the weights and MMDeploy's file. Default: the published ones, which are downloaded.
        yolo: Pose model of Ultralytics as ONNX.
        images: Image or folder. Default: noise.
        num_images: Number of images of the folder.
        threads: CPU threads of our sides.
        rounds: Number of runs of each side.
        int8: Whether to measure eight bits too, calibrated with ``images``, a folder; it takes minutes.

    Raises:
        ConfigError: A number is not positive, or eight bits have no folder of images.
        MissingFileError: The weights or images are not there.
    """
    if min(num_images, rounds) < 1:
        raise ConfigError("infer: --num-images and --rounds must be at least 1.")
    _check_files(yolo, images, int8)
    samples = read_samples(images, num_images)
    weights, their_file = locate_peers(peers)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "ours.onnx")
        ours = export_ours(weights, file, threads, images if int8 else None)
        models = {name: ExportedModel(**side) for name, side in ours.items()}
        crowds = open_crowds(file, threads)
        theirs = {**open_theirs(weights, their_file), **(open_yolo(Path(yolo)) if yolo else {})}
        finders = {**theirs, **{name: model.predict for name, model in {**models, **crowds}.items()}}
        sides = {name: _make_side(find, samples) for name, find in finders.items()}
        for side in sides.values():
            side()  # what is made or loaded at the first image
        timings, found = time_alternately(sides, rounds, pause=PAUSE_S)
        results: dict[str, Any] = {
            f"parts of {name}, ms": _measure_parts(model, samples, rounds) for name, model in models.items()
        }
        results["JPEG files per second"] = _measure_files(theirs, ours, samples, Path(folder, "images"))
        results["cold start, s"] = _measure_cold_starts(file)
    return compare_timings(
        timings,
        title=f"From {len(samples)} images in memory to people, RTMO-s 640x640, batch 1; seconds for all images",
        command=f"infer --num-images {num_images} --rounds {rounds}"
        + (f" --images {images}" if images else "")
        + (" --int8" if int8 else ""),
        settings={"images": images or "noise", "num_images": len(samples), "threads": threads, "batch": 1},
        results={"people": {name: counts[-1] for name, counts in found.items()}, **results},
    )


def _check_files(yolo: str | None, images: str | None, int8: bool) -> None:
    """Raise ``UserError`` unless the files are there, and the folder of images where eight bits need one."""
    if int8 and not (images and Path(images).is_dir()):
        raise ConfigError("infer: --int8 is calibrated with a folder of images: name it with --images.")
    if yolo and not Path(yolo).is_file():
        raise MissingFileError(f"{yolo} does not exist: --yolo names a pose model that Ultralytics' package exported.")


def _measure_cold_starts(file: Path) -> dict[str, dict[str, float]]:
    """Return the median seconds, by runtime, until the package is imported and until the first people are found."""
    found = {}
    for runtime in ("openvino", "onnxruntime"):
        if find_spec(runtime):
            runs = [run_in_fresh_process(file, make_noise(), {"runtime": runtime}) for _ in range(_COLD_STARTS)]
            found[runtime] = {
                "import": round(statistics.median(each.import_s for each in runs), 2),
                "first people": round(statistics.median(each.first_people_s for each in runs), 2),
            }
    return found


def _make_side(find: Find, samples: Sequence[Image]) -> Callable[[], int]:
    """Return a function that finds the people of all images and says how many."""
    return lambda: sum(len(find(sample)) for sample in samples)


def _measure_parts(model: ExportedModel, samples: Sequence[Image], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of the three parts of ``predict``."""
    each = [model.time_parts(sample) for _ in range(rounds) for sample in samples]
    return {name: round(1000 * float(np.median([parts[name] for parts in each])), 2) for name in each[0]}


def _measure_files(
    theirs: Mapping[str, Find], ours: Mapping[str, Mapping[str, Any]], samples: Sequence[Image], folder: Path
) -> dict[str, float]:
    """Return how many JPEG files per second each side reads and finds people in, ours in streams."""
    paths = [folder / f"{index}.jpg" for index in range(-(-8 // len(samples)) * len(samples))]
    for index, path in enumerate(paths):
        write_image(path, samples[index % len(samples)])

    def read_one_by_one(find: Find) -> Callable[[], int]:
        return lambda: sum(len(find(read_image(path))) for path in paths)

    def read_ahead(file: Path, **options: Any) -> Callable[[], int]:
        pose = Pose(file, streams=None, **options)
        return lambda: sum(1 for _ in pose.stream(paths))

    sides = {name: read_one_by_one(find) for name, find in theirs.items()}
    sides |= {name: read_ahead(**side) for name, side in ours.items()}
    for side in sides.values():
        side()  # what is made or loaded at the first image
    timings, _ = time_alternately(sides, _FILE_ROUNDS, pause=PAUSE_S)
    return {each.name: round(len(paths) / each.median, 1) for each in timings}
