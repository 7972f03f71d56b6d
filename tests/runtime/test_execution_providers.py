"""Execution providers of ONNX Runtime: which are asked for, and no computing on the CPU where a GPU was asked for."""

import sys
from importlib.util import find_spec

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.media.image_files import write_image
from rtmo_plugin.runtime.engines import open_engine
from rtmo_plugin.runtime.engines.onnx_runtime import choose_providers, open_session
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.conftest import run_command
from tests.tiny_files import make_image

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
HAS_GPU = {CUDA, TENSORRT} <= set(onnxruntime.get_available_providers())
without_gpu = pytest.mark.skipif(HAS_GPU, reason="ONNX Runtime for GPUs is installed")
needs_cuda = pytest.mark.skipif(not HAS_GPU, reason="ONNX Runtime for GPUs is not installed: needs a CUDA device")
needs_tensorrt = pytest.mark.skipif(  # ONNX Runtime lists TensorRT without its libraries
    not (HAS_GPU and find_spec("tensorrt_libs")), reason="ONNX Runtime for GPUs or the package tensorrt is missing"
)


@without_gpu
@pytest.mark.parametrize("options", [{"device": "cuda"}, {"device": "cuda:1"}, {"runtime": "tensorrt"}])
def test_a_missing_provider_is_refused_with_what_to_install(files, options):
    with pytest.raises(
        ConfigError, match=r"ONNX Runtime has .*CPUExecutionProvider.*pip install .*onnxruntime-gpu"
    ) as error:
        open_engine(files["end2end"], **options)
    assert ('"tensorrt<11"' in str(error.value)) == ("runtime" in options)


@without_gpu
@pytest.mark.parametrize("tensorrt", [False, True])
def test_onnx_runtime_never_falls_back_to_the_cpu(files, monkeypatch, tmp_path, tensorrt):
    """Without its libraries, a listed provider is left out by ONNX Runtime, which then computes on the CPU."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    name = TENSORRT if tensorrt else CUDA
    with pytest.warns(UserWarning, match=name), pytest.raises(ConfigError, match=f"cannot load {name}"):
        open_session(files["end2end"], "cuda", tensorrt=tensorrt)


@without_gpu
def test_libraries_of_tensorrts_package_are_loaded_for_it_alone(files, monkeypatch, tmp_path):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "tensorrt_libs.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for tensorrt in (False, True):
        with pytest.warns(UserWarning, match="CUDA|Tensorrt"), pytest.raises(ConfigError, match="cannot load"):
            open_session(files["end2end"], "cuda", tensorrt=tensorrt)
        assert (sys.modules.pop("tensorrt_libs", None) is not None) == tensorrt


@pytest.mark.parametrize(
    ("device", "expected"),
    [("cpu", [(CPU, {})]), ("cuda", [(CUDA, {"device_id": "0"})]), ("cuda:1", [(CUDA, {"device_id": "1"})])],
)
def test_the_device_chooses_the_provider(monkeypatch, device, expected):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    assert choose_providers(device, engines=None, half=False) == expected


@pytest.mark.parametrize("half", [False, True])
def test_tensorrt_keeps_its_engines_and_leaves_the_rest_to_cuda(monkeypatch, tmp_path, half):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    folder = tmp_path / "engines/of one file"
    (name, options), rest = choose_providers("cuda", engines=folder, half=half)
    assert (name, rest) == (TENSORRT, (CUDA, {"device_id": "0"}))
    assert options == {
        "device_id": "0",
        "trt_fp16_enable": str(half),  # ONNX Runtime takes "True" and "False" alone
        "trt_engine_cache_enable": "True",
        "trt_timing_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
    }
    assert folder.is_dir()


@without_gpu
def test_each_file_has_engines_of_its_own(files, monkeypatch, tmp_path):
    """ONNX Runtime would take those of a file with the same name and layers, and other weights."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = onnx.load(files["end2end"])
    weights = next(each for each in model.graph.initializer if each.name.endswith("weight"))
    for factor in (1, 2, 1):
        weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * factor, weights.name))
        onnx.save(model, tmp_path / "model.onnx")
        with pytest.warns(UserWarning, match=TENSORRT), pytest.raises(ConfigError, match="cannot load"):
            open_session(tmp_path / "model.onnx", "cuda", tensorrt=True)
    assert len(list((tmp_path / "cache/rtmo_plugin/tensorrt").iterdir())) == 2


@pytest.mark.parametrize("device", ["mars", "cuda:x", "cuda"])
def test_unknown_devices_are_refused(monkeypatch, device):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(ConfigError, match=f"The device {device} cannot be used"):
        choose_providers(device, engines=None, half=False)


@pytest.mark.parametrize("options", [{}, {"runtime": "tensorrt"}])
def test_other_precisions_are_refused(files, options):
    with pytest.raises(ConfigError, match="does not compute in bfloat16"):
        open_engine(files["end2end"], **{"runtime": "onnxruntime", **options}, precision="bfloat16")


def test_the_command_takes_a_runtime(files, tmp_path, capsys):
    write_image(tmp_path / "a.png", make_image())
    code, out, _ = run_command(capsys, "predict", files["end2end"], tmp_path / "a.png", "--runtime", "onnxruntime")
    assert (code, "in 1 image" in out) == (0, True)
    code, _, err = run_command(capsys, "predict", files["end2end"], tmp_path / "a.png", "--runtime", "ncnn")
    assert (code, err.count("\n"), "ncnn" in err) == (2, 1, True)


def match(found, expected):
    """Return the keypoints of each expected person in the detection whose box is nearest.

    Scores are nearly equal, so that rounding exchanges rows.
    """
    distances = np.abs(found.boxes - expected.boxes[:, None]).max(2)
    return found.keypoints[distances.argmin(1)]


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("runtime", "precision", "tolerance"),
    [
        pytest.param("onnxruntime", "float32", 0.2, marks=needs_cuda),
        pytest.param("tensorrt", "float32", 0.2, marks=needs_tensorrt),
        pytest.param("tensorrt", "float16", 1.0, marks=needs_tensorrt),
    ],
)
def test_a_gpu_computes_what_the_cpu_computes(files, monkeypatch, tmp_path, runtime, precision, tolerance):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image = make_image()
    expected = ExportedModel(files["end2end"], runtime="onnxruntime").predict(image)
    found = ExportedModel(files["end2end"], runtime=runtime, device="cuda", precision=precision).predict(image)
    assert len(found) == len(expected) > 0
    # Pixels. GPUs compute float32 in TF32, with 10 bits as float16.
    np.testing.assert_allclose(match(found, expected), expected.keypoints, atol=tolerance)
