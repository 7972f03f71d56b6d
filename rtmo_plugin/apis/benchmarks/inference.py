"""How fast people are found: from an image in memory to keypoints, beside what is run today."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rtmo_plugin.apis.benchmarks.official import load_official_recipe
from rtmo_plugin.apis.benchmarks.report import Report, time_alternately
from rtmo_plugin.apis.export import export
from rtmo_plugin.errors import ConfigError, MissingFileError
from rtmo_plugin.export.onnx_writer import replace_constants
from rtmo_plugin.inference.files import list_images, read_image
from rtmo_plugin.inference.letterbox import Image
from rtmo_plugin.inference.pose_model import PoseModel

CONFIG = "rtmo-s_coco"
WEIGHTS, THEIR_FILE = "rtmo-s_weights.pth", "rtmo-s_mmdeploy-1.3.1.onnx"
_SIDES: dict[str, dict[str, Any]] = {  # ours: the runtime and its precision
    "ONNX Runtime float32": {"runtime": "onnxruntime"},
    "OpenVINO float32": {"runtime": "openvino"},
    "OpenVINO bfloat16": {"runtime": "openvino", "precision": "bfloat16"},
}
_CROWD = 100


def run(
    *,
    peers: str = "",
    images: str | None = None,
    num_images: int = 5,
    threads: int | None = None,
    rounds: int = 20,
) -> Report:
    """Measure all sides in turn, one image after the other, batch 1.

    Args:
        peers: Folder with the weights and MMDeploy's file.
        images: An image or a folder; None: noise.
        num_images: How many of the folder.
        threads: Of the CPU, for our sides.
        rounds: How often.

    Raises:
        ConfigError: A number is not positive.
        MissingFileError: The weights or images are not there.
    """
    if min(num_images, rounds) < 1:
        raise ConfigError("benchmark infer: --num-images and --rounds must be at least 1.")
    weights = Path(peers, WEIGHTS)
    if not weights.is_file():
        raise MissingFileError(f"There is no {weights}: name the folder of the peers with --peers.")
    pictures = _read_images(images, num_images)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "ours.onnx")
        export(CONFIG, weights, file, input="uint8")
        models, crowds = _open_ours(file, threads), _open_crowds(file, threads)
        finders = {**_open_theirs(Path(peers)), **{name: model.predict for name, model in models.items()}}
        finders.update((name, model.predict) for name, model in crowds.items())
        sides = {name: _make_side(find, pictures) for name, find in finders.items()}
        for side in sides.values():
            side()  # what is made or loaded at the first image
        timings, found = time_alternately(sides, rounds)
        parts = {f"parts of {name}, ms": _measure_parts(model, pictures, rounds) for name, model in models.items()}
    return Report(
        title=f"From {len(pictures)} images in memory to people, RTMO-s 640x640, batch 1; seconds for all images",
        command=f"rtmo benchmark infer --num-images {num_images} --rounds {rounds}",
        timings=timings,
        settings={"images": images or "noise", "num_images": len(pictures), "threads": threads, "batch": 1},
        results={"people": {name: counts[-1] for name, counts in found.items()}, **parts},
    )


def _read_images(images: str | None, num_images: int) -> list[Image]:
    if images:
        return [read_image(path) for path in list_images(images)[:num_images]]
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(num_images)]


def _make_side(find: Callable[[Image], Any], pictures: Sequence[Image]) -> Callable[[], int]:
    """Return a function that finds the people of all images and says how many."""
    return lambda: sum(len(find(picture)) for picture in pictures)


def _open_theirs(peers: Path) -> dict[str, Callable[[Image], Any]]:
    """Return what is run today, by name; what is not installed is left out."""
    finders: dict[str, Callable[[Image], Any]] = {}
    if find_spec("rtmlib"):
        from rtmlib import RTMO

        model = RTMO(str(peers / THEIR_FILE), (640, 640), score_thr=0.1, nms_thr=0.65, backend="onnxruntime")
        finders["rtmlib, MMDeploy's file"] = lambda image: model(image)[0]
    from mmpose.apis import inference_bottomup, init_model

    theirs = init_model(load_official_recipe(), str(peers / WEIGHTS), device="cpu")
    finders["MMPose, PyTorch"] = lambda image: inference_bottomup(theirs, image)[0].pred_instances.keypoints
    return finders


def _open_ours(file: Path, threads: int | None) -> dict[str, PoseModel]:
    """Return the runtimes that are installed."""
    return {
        name: PoseModel(file, threads=threads, **options)
        for name, options in _SIDES.items()
        if find_spec(options["runtime"])
    }


def _open_crowds(file: Path, threads: int | None) -> dict[str, PoseModel]:
    """Return models that always find one person, and a hundred: the best priors, with no threshold."""
    models = {}
    for count in (1, _CROWD):
        crowd = file.with_name(f"{count}.onnx")
        content = replace_constants(file.read_bytes(), score_thr=0.0, nms_thr=1.0, max_people=count)
        crowd.write_bytes(content)
        models[f"ONNX Runtime, {count} people"] = PoseModel(
            crowd, score_thr=0.0, threads=threads, runtime="onnxruntime"
        )
    return models


def _measure_parts(model: PoseModel, pictures: Sequence[Image], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of the three parts of ``predict``."""
    each = [model.time_parts(picture) for _ in range(rounds) for picture in pictures]
    return {name: round(1000 * float(np.median([parts[name] for parts in each])), 2) for name in each[0]}
