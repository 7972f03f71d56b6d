"""The sides of the inference benchmark: MMPose, rtmlib and YOLO, and our runtimes and precisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from mmpose.apis import inference_bottomup, init_model

from benchmarks.fixed_people import open_with_people
from benchmarks.official import load_official_recipe
from rtmo_plugin.api import export
from rtmo_plugin.checkpoints.zoo import CATALOGUE, fetch
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.errors import MissingFileError
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import build_graph
from rtmo_plugin.export.writers.onnx_file import convert_to_onnx
from rtmo_plugin.export.writers.quantization import choose_int8_images, quantize
from rtmo_plugin.ops.arrays import box_nms
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.letterbox import Image, apply_letterbox, make_input

CONFIG, _PUBLISHED = "rtmo-s_coco", "rtmo-s_body7"  # one architecture
WEIGHTS, THEIR_FILE = "rtmo-s_weights.pth", "rtmo-s_mmdeploy-1.3.1.onnx"
Find = Callable[[Image], Any]

_OURS: dict[str, dict[str, Any]] = {  # the runtime and its precision
    "OpenVINO, the default": {"runtime": "openvino"},
    "OpenVINO float32": {"runtime": "openvino", "precision": "float32"},
    "ONNX Runtime float32": {"runtime": "onnxruntime"},
}
_INT8 = {"OpenVINO int8": ("openvino", True), "ONNX Runtime int8": ("onnxruntime", False)}  # and whether it keeps sums
_CROWD = 100
_SCORE_THR, _NMS_THR = 0.1, 0.65
_YOLO_KEYPOINTS = 17 * 3


def locate_peers(folder: str | Path | None) -> tuple[Path, Path]:
    """Return the weights of RTMO-s and the file that MMDeploy wrote for them.

    Args:
        folder: Folder that holds both. Default: the published ones, which are downloaded unless they are here.

    Raises:
        MissingFileError: One of them is missing, or cannot be downloaded.
    """
    if folder is None:
        other = ", or name a folder with --peers"
        published, exported = (CATALOGUE[name] for name in (_PUBLISHED, f"{_PUBLISHED}-onnx"))
        return fetch(published, alternative=other), fetch(exported, alternative=other)
    weights, file = Path(folder, WEIGHTS), Path(folder, THEIR_FILE)
    for path in (weights, file):
        if not path.is_file():
            raise MissingFileError(
                f"{path} does not exist: --peers names a folder with {WEIGHTS} and {THEIR_FILE}; without it the "
                f"published {_PUBLISHED} is downloaded."
            )
    return weights, file


def open_theirs(weights: Path, file: Path) -> dict[str, Find]:
    """Return rtmlib and MMPose, by name; a package that is not installed is left out."""
    finders: dict[str, Find] = {}
    if find_spec("rtmlib"):
        from rtmlib import RTMO

        size = (640, 640)
        model = RTMO(str(file), size, score_thr=_SCORE_THR, nms_thr=_NMS_THR, backend="onnxruntime")
        finders["rtmlib, MMDeploy's file"] = lambda image: model(image)[0]
    theirs = init_model(load_official_recipe(), str(weights), device="cpu")
    finders["MMPose, PyTorch"] = lambda image: inference_bottomup(theirs, image)[0].pred_instances.keypoints
    return finders


def open_yolo(file: Path) -> dict[str, Find]:
    """Return a pose model that Ultralytics' package exported to ONNX, with what has to be done around it and no more.

    Its one output holds, for each of P places, a box (middle, width and height), the scores of the classes,
    and x, y and visibility of 17 keypoints: (1, 4 + classes + 51, P).
    """
    from rtmo_plugin.runtime.engines.onnx_runtime import open_session

    session = open_session(file)
    (given,) = session.get_inputs()
    size_wh = (given.shape[3], given.shape[2])

    def find(image: Image) -> Any:
        padded, letterbox = apply_letterbox(image, size_wh)
        pixels = make_input(padded[None, ..., ::-1], "float32") / np.float32(255)
        (rows,) = session.run(None, {given.name: pixels})[0].swapaxes(1, 2)
        scores = rows[:, 4:-_YOLO_KEYPOINTS].max(axis=1)
        rows, scores = rows[scores > _SCORE_THR], scores[scores > _SCORE_THR]
        middles, halves = rows[:, :2], rows[:, 2:4] / 2
        kept = box_nms(np.concatenate([middles - halves, middles + halves], axis=1), scores, _NMS_THR)
        return letterbox.restore(rows[kept, -_YOLO_KEYPOINTS:].reshape(-1, 17, 3)[..., :2])

    return {f"Ultralytics, {file.name}": find}


def export_ours(weights: Path, file: Path, threads: int | None, calibration: str | None) -> dict[str, dict[str, Any]]:
    """Export a model to ``file``, and return what ``ExportedModel`` takes to run it in each runtime that is installed.

    Args:
        weights: Weights of the model.
        file: File to write, ``.onnx``.
        threads: CPU threads.
        calibration: Folder of images; with it there are files in eight bits too.
    """
    export(CONFIG, weights, file, input="uint8")
    sides = {name: {"file": file, **options} for name, options in _OURS.items() if find_spec(options["runtime"])}
    if calibration is not None:
        sides |= _export_int8(weights, file, calibration)
    return {name: {**side, "threads": threads} for name, side in sides.items()}


def _export_int8(weights: Path, file: Path, calibration: str) -> dict[str, dict[str, Any]]:
    """Export in eight bits, unchecked: weights that were not trained, as the peers', do not stand it."""
    options = ExportOptions(input="uint8", int8=True, int8_images=choose_int8_images(calibration))
    info = replace(ExportedModel(file, runtime="onnxruntime").info, precision="int8")
    graph = build_graph(init_model(load_config(CONFIG), str(weights), device="cpu"), options)
    plain, sides = convert_to_onnx(graph, options, info.to_strings()), {}
    for name, (runtime, fuses_activation) in _INT8.items():
        if find_spec(runtime):
            path = file.with_name(f"{runtime}_int8.onnx")
            path.write_bytes(quantize(plain, options, info, fuses_activation=fuses_activation).SerializeToString())
            sides[name] = {"file": path, "runtime": runtime}
    return sides


def open_crowds(file: Path, threads: int | None) -> dict[str, ExportedModel]:
    """Return models that find one person, and a hundred, in any image."""
    return {
        f"{number:3} people, {name}": open_with_people(file, number, threads=threads, **options)
        for number in (1, _CROWD)
        for name, options in _OURS.items()
        if find_spec(options["runtime"]) and name != "OpenVINO float32"
    }
