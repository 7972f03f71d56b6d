"""Engines of TensorRT: what can be checked without a GPU, and on a GPU the people of the same model in ONNX Runtime."""

import json
from importlib.util import find_spec

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from rtmo_plugin.api import export
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.export.checks.comparison import compare_with_pytorch
from rtmo_plugin.export.checks.tolerance import INT8
from rtmo_plugin.export.writers.engine_file import list_shapes, make_typed_onnx, write_engine
from rtmo_plugin.export.writers.onnx_file import open_content, write_onnx
from rtmo_plugin.export.writers.quantization import count_groups
from rtmo_plugin.files import write_json
from rtmo_plugin.media.image_files import write_image
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.model_files import list_model_files
from tests.conftest import run_command
from tests.export.test_onnx_file import make_info, make_options
from tests.tiny_files import make_image

HAS_TENSORRT = find_spec("tensorrt") is not None
needs_tensorrt = pytest.mark.skipif(not HAS_TENSORRT, reason="the package tensorrt is missing")


@pytest.fixture(autouse=True)
def _own_trust(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def int8_options(tmp_path):
    paths = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(paths):
        write_image(path, make_image(96, 64, seed))
    return make_options(cut="decoded", top_k=30, int8=True, int8_images=tuple(paths))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "leaves NMS to the runtime: export it with --cut decoded, fused or raw"),
        ({"cut": "raw", "dynamic": ("size",)}, "built for one size: leave out --dynamic size"),
        ({"cut": "raw", "input": "uint8"}, "takes float32: leave out --input uint8"),
    ],
)
def test_what_an_engine_cannot_hold_is_refused(tiny, tmp_path, changes, reason):
    options = make_options(**changes)
    with pytest.raises(ConfigError, match=reason):
        write_engine(tiny, tmp_path / "model.engine", options, make_info(tiny, options))


@pytest.mark.skipif(HAS_TENSORRT, reason="the package tensorrt is installed")
def test_the_missing_package_is_named(tiny, tmp_path):
    options = make_options(cut="decoded")
    with pytest.raises(ConfigError, match="needs the package tensorrt and an NVIDIA GPU: pip install tensorrt"):
        write_engine(tiny, tmp_path / "model.engine", options, make_info(tiny, options))
    (tmp_path / "model.engine").write_bytes(b"an engine")
    with pytest.raises(ConfigError, match="needs the package tensorrt: pip install tensorrt"):
        ExportedModel(tmp_path / "model.engine")


@needs_tensorrt
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_missing_gpu_is_named(tiny, tmp_path):
    options = make_options(cut="decoded")
    with pytest.raises(ConfigError, match="--format engine needs an NVIDIA GPU that PyTorch can use, and cuda is none"):
        write_engine(tiny, tmp_path / "model.engine", options, make_info(tiny, options))


def test_shapes_are_those_of_the_options():
    assert list_shapes(make_options(cut="raw", size_wh=(96, 64))) == ((1, 3, 64, 96), (1, 3, 64, 96), (32, 3, 64, 96))
    assert list_shapes(make_options(cut="raw", dynamic=(), size_wh=(96, 64)))[2] == (1, 3, 64, 96)


def test_eight_bits_are_symmetric_and_compute_what_pytorch_computes(tiny, int8_options):
    model = make_typed_onnx(tiny, int8_options, make_info(tiny, int8_options))
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    zeros = [constants[node.input[2]] for node in nodes]
    assert len(zeros) > 20
    assert {zero.dtype for zero in zeros} == {np.dtype(np.int8)}  # int32 are quantized biases
    assert not any(zero.any() for zero in zeros)
    made_by = {name: node for node in model.graph.node for name in node.output}
    weights = [made_by.get(node.input[1]) for node in model.graph.node if node.op_type == "Conv"]
    eight_bit = [node for node in weights if node is not None]
    assert len(eight_bit) > 20
    assert {(node.op_type, made_by[node.input[0]].op_type) for node in eight_bit} == {
        ("DequantizeLinear", "QuantizeLinear")
    }
    grouped = [node for node in model.graph.node if count_groups(node) > 1]
    assert len(grouped) > 1
    assert not any(node.input[1] in made_by for node in grouped)
    found = compare_with_pytorch(tiny, open_content(model.SerializeToString()), int8_options, INT8)
    assert found.num_people == 5 * 30


def test_half_precision_is_in_the_model(tiny):
    options = make_options(cut="decoded", half=True)
    model = make_typed_onnx(tiny, options, make_info(tiny, options))
    weights = {each.name: each.data_type for each in model.graph.initializer if each.name.startswith("backbone")}
    assert set(weights.values()) == {onnx.TensorProto.FLOAT16}


def test_the_metadata_beside_an_engine_belong_to_it(tmp_path):
    paths = [tmp_path / "model.engine", tmp_path / "model.json"]
    for path in paths:
        path.touch()
    assert list_model_files(paths[0]) == paths


def test_info_reads_the_metadata_and_opens_nothing(tiny, tmp_path, capsys):
    options = make_options(cut="decoded")
    (tmp_path / "model.engine").write_bytes(b"an engine")
    write_json(tmp_path / "model.json", {**make_info(tiny, options).to_strings(), "output_names": "dets"})
    code, printed, _ = run_command(capsys, "info", tmp_path / "model.engine", "--json")
    assert (code, json.loads(printed)["cut"]) == (0, "decoded")
    (tmp_path / "model.json").unlink()
    code, _, error = run_command(capsys, "info", tmp_path / "model.engine")
    assert code == 2
    assert "model.json cannot be read, and it must hold the keypoints and sizes of the model beside it" in error


def test_the_name_of_the_file_must_fit(tmp_path):
    with pytest.raises(ConfigError, match=r"the file name of engine must end with \.engine"):
        export("rtmo-t_coco", "missing.pth", tmp_path / "model.plan", format="engine")


@pytest.mark.gpu
@needs_tensorrt
@pytest.mark.parametrize("kind", ["float32", "half", "int8"])
def test_an_engine_finds_the_people_of_onnx_runtime(tiny, tmp_path, int8_options, kind):
    options = int8_options if kind == "int8" else make_options(cut="decoded", top_k=30, half=kind == "half")
    info = make_info(tiny, options)
    found = write_engine(tiny, tmp_path / "model.engine", options, info)
    assert found.num_people > 0
    engine = ExportedModel(tmp_path / "model.engine", device="cuda")
    assert engine.info == info
    if kind == "float32":
        write_onnx(tiny, tmp_path / "model.onnx", options, info)
        images = [make_image(150, 70), make_image(33, 81, 1)]
        pairs = zip(engine.predict_batch(images), ExportedModel(tmp_path / "model.onnx").predict_batch(images))
        for ours, others in pairs:
            np.testing.assert_allclose(ours.scores, others.scores, rtol=0, atol=1e-3)
            np.testing.assert_allclose(ours.keypoints, others.keypoints, rtol=0, atol=0.5)
