"""The C++ decoders find the people that Python finds, where a compiler and the libraries are installed."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from rtmo_plugin.export.writers.onnx_file import write_onnx
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.conftest import ROOT
from tests.export.conftest import build_tiny
from tests.export.test_onnx_file import SIZE_WH, make_info, make_options

FOLDER = ROOT / "examples/cpp"
LIBRARIES = ["opencv_core", "opencv_imgproc", "opencv_imgcodecs"]
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the compiler g++ is not installed")


@pytest.fixture(scope="module")
def flags():
    """Return the compiler's options for OpenCV."""
    command = ["pkg-config", "--cflags", "opencv4"]
    found = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which(command[0]) else None
    if found is None or found.returncode:
        pytest.skip("the package libopencv-dev is not installed")
    return found.stdout.split()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "image.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (70, 50, 3), np.uint8))
    return path


def write(folder, **neck):
    model, options = build_tiny(neck=neck), make_options(cut="raw", dynamic=())
    write_onnx(model, folder / "model.onnx", options, replace(make_info(model, options), dynamic=()))
    return folder / "model.onnx"


def build(name, folder, *options):
    command = [
        "g++",
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        str(FOLDER / f"{name}.cpp"),
        "-o",
        str(folder / name),
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / name


def check_people(program, path, parameters, image):
    command = [program, path, parameters, image, *SIZE_WH]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    people = [json.loads(line) for line in done.stdout.splitlines()]
    expected = ExportedModel(path, runtime="onnxruntime").predict(cv2.imread(str(image)))
    assert len(people) == len(expected) > 10
    keypoints = np.array([each["keypoints"] for each in people])
    np.testing.assert_allclose(keypoints[..., :2], expected.keypoints, rtol=0, atol=0.5)
    np.testing.assert_allclose(keypoints[..., 2], expected.keypoint_scores, rtol=0, atol=1e-3)
    np.testing.assert_allclose([each["score"] for each in people], expected.scores, rtol=0, atol=1e-3)
    np.testing.assert_allclose([each["box"] for each in people], expected.boxes, rtol=0, atol=0.5)


def test_opencv(flags, image, tmp_path):
    path = write(tmp_path, encoder_levels=())  # OpenCV 4.6 has no attention and folds no constants
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    settings.optimized_model_filepath = str(tmp_path / "folded.onnx")
    onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    program = build("opencv_dnn", tmp_path, *flags, *(f"-l{each}" for each in [*LIBRARIES, "opencv_dnn"]))
    shutil.copy(tmp_path / "model.npz", tmp_path / "folded.npz")
    check_people(program, tmp_path / "folded.onnx", tmp_path / "folded.npz", image)
    done = subprocess.run([program, path, tmp_path / "no.npz", image, "96", "64"], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"error: " in done.stderr


def test_onnx_runtime(flags, image, tmp_path):
    headers = Path(os.environ.get("ONNXRUNTIME_INCLUDE", "/usr/include/onnxruntime"))
    if not (headers / "onnxruntime_c_api.h").is_file():
        pytest.skip("no headers of ONNX Runtime; name their folder in ONNXRUNTIME_INCLUDE")
    (library,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (tmp_path / name).symlink_to(library)
    options = [f"-I{headers}", f"-L{tmp_path}", "-lonnxruntime", f"-Wl,-rpath,{tmp_path}"]
    program = build("onnx_runtime", tmp_path, *flags, *options, *(f"-l{each}" for each in LIBRARIES))
    path = write(tmp_path)
    check_people(program, path, path.with_suffix(".npz"), image)
