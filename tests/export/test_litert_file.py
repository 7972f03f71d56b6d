"""LiteRT's files say what PyTorch says, in float32 and in eight bits, or are not kept."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.runtime.engines.appended_metadata import append_metadata
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.operators import count_operators
from tests.export.conftest import check_damage_is_refused, check_like_onnx_runtime
from tests.export.test_onnx_file import make_info, make_options

pytest.importorskip("litert_torch", reason="the package litert-torch is not installed")


def write(model, path, **changes):
    from rtmo_plugin.export.writers.litert_file import write_litert

    options = make_options(**{"cut": "raw", "dynamic": (), **changes})
    info = replace(make_info(model, options), dynamic=(), input=options.input, precision=options.precision)
    return write_litert(model, path, options, info), options, info


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    from rtmo_plugin.export.writers.onnx_file import write_onnx

    folder = tmp_path_factory.mktemp("litert")
    found, options, info = write(tiny, folder / "model.tflite", input="uint8")
    assert found.maps < 0.1
    assert sorted(path.name for path in folder.iterdir()) == ["model.npz", "model.tflite"]
    write_onnx(tiny, folder / "other.onnx", options, info)
    return folder


def test_people_are_those_of_onnx_runtime(folder):
    check_like_onnx_runtime(folder / "model.tflite", folder / "other.onnx")


def test_names_are_those_of_onnx(folder):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(folder / "model.tflite")).get_signature_runner()
    (name, given), *others = runner.get_input_details().items()
    assert (name, given["shape"].tolist(), given["dtype"], others) == ("input", [1, 64, 96, 3], np.uint8, [])
    shapes = {name: each["shape"].tolist() for name, each in runner.get_output_details().items()}
    assert shapes["class_logits_16"] == [1, 1, 4, 6]
    assert shapes["visibility_logits_32"] == [1, 17, 2, 3]
    assert len(shapes) == 8


def test_operators_are_counted(folder, tmp_path):
    counts = count_operators(folder / "model.tflite")
    assert counts["CONV_2D"] == count_operators(folder / "other.onnx")["Conv"]
    assert counts["BATCH_MATMUL"] == 2
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(range(100)))
    append_metadata(path, {})
    with pytest.raises(DataError, match=r"model\.tflite cannot be read by ai-edge-litert: it is damaged"):
        count_operators(path)


def test_eight_bits_leave_sensitive_layers_in_float32(tiny, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    paths = [tmp_path / f"{seed}.png" for seed in range(2)]
    for path in paths:
        cv2.imwrite(str(path), np.random.default_rng(len(str(path))).integers(0, 256, (64, 96, 3), np.uint8))
    found, _, _ = write(tiny, tmp_path / "int8.tflite", int8=True, int8_images=tuple(paths))
    assert 0.001 < found.maps < 1  # rounded, and not to pieces
    assert ExportedModel(tmp_path / "int8.tflite").info.precision == "int8"
    interpreter = Interpreter(model_path=str(tmp_path / "int8.tflite"))
    types = {each["index"]: each["dtype"] for each in interpreter.get_tensor_details()}
    weights = [
        (each["op_name"], types[each["inputs"][1]])
        for each in interpreter._get_ops_details()
        if each["op_name"] in ("CONV_2D", "FULLY_CONNECTED")
    ]
    kinds = {each: weights.count(each) for each in set(weights)}
    assert kinds.pop(("CONV_2D", np.float32)) == 8  # four branches of two levels
    assert kinds.pop(("FULLY_CONNECTED", np.float32)) == 6  # of the encoder
    assert set(kinds) == {("CONV_2D", np.int8)}
    ends = interpreter.get_input_details() + interpreter.get_output_details()
    assert {each["dtype"] for each in ends} == {np.float32}


@pytest.mark.parametrize("changes", [{"cut": "end2end"}, {"cut": "decoded"}, {"dynamic": ("batch",)}, {"half": True}])
def test_what_cannot_be_is_refused(tiny, tmp_path, changes):
    with pytest.raises(ConfigError, match=r"model\.tflite can hold the head's maps of one image of one size"):
        write(tiny, tmp_path / "model.tflite", **changes)
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_are_refused(folder, tmp_path, capfd):
    check_damage_is_refused(folder / "model.tflite", tmp_path, "LiteRT")
    assert capfd.readouterr() == ("", "")  # nothing of the runtime's own
    with pytest.raises(ConfigError, match="LiteRT computes in the precision of the file, not in bfloat16"):
        ExportedModel(folder / "model.tflite", precision="bfloat16")


def test_another_model_with_its_hash_is_refused(folder, tmp_path, capfd):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(1000))
    append_metadata(path, {})
    with pytest.raises(DataError, match=r"model\.tflite cannot be read as a model of LiteRT: [A-Z]"):
        ExportedModel(path)
    content = (folder / "model.tflite").read_bytes()
    path.write_bytes(content[: content.rindex(b"PK\3\4")])
    append_metadata(path, {})
    with pytest.raises(DataError, match="is not an RTMO model: it has the outputs"):
        ExportedModel(path)
