"""Operators of exported files, counted as each package counts them."""

import json
import sys
from collections import Counter

import onnx
import pytest

from rtmo_plugin.api import export
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.runtime.engines.appended_metadata import append_metadata
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.operators import count_operators
from tests.conftest import run_command


def test_they_are_those_of_onnx(files):
    for cut in ("raw", "end2end"):
        nodes = Counter(node.op_type for node in onnx.load(files[cut]).graph.node)
        del nodes["Constant"]
        assert count_operators(files[cut]) == nodes
    assert "NonMaxSuppression" not in count_operators(files["raw"])


def test_operators_of_branches_count(tmp_path):
    def make_graph(operator):
        value = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
        return onnx.helper.make_graph([onnx.helper.make_node(operator, ["x"], ["y"])], operator, [], [value])

    node = onnx.helper.make_node("If", ["c"], ["z"], then_branch=make_graph("Relu"), else_branch=make_graph("Tanh"))
    given = onnx.helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [])
    graph = onnx.helper.make_graph([node], "main", [given], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "a.onnx")
    assert count_operators(tmp_path / "a.onnx") == {"If": 1, "Relu": 1, "Tanh": 1}


def test_openvino_and_ncnn_have_their_own_names(tiny_model, tmp_path):
    export(*tiny_model, tmp_path / "a.xml", format="openvino", cut="raw", dynamic="none")
    assert count_operators(tmp_path / "a.xml")["Convolution"] > 20
    (tmp_path / "a.param").write_text("7767517\n3 2\nInput in0 0 1 in0\nConvolution c 1 1 in0 a\nSwish s 1 1 a out0\n")
    assert count_operators(tmp_path / "a.param") == {"Convolution": 1, "Swish": 1}
    with pytest.raises(ConfigError, match=r"known are files with \.onnx, \.xml, \.param, \.tflite, \.pte"):
        count_operators(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("suffix", "begin", "module", "package"),
    [
        (".tflite", b"0000TFL3", "ai_edge_litert", "ai-edge-litert"),
        (".pte", b"0000ET12eh00", "executorch.exir._serialize", "executorch"),
    ],
)
def test_files_of_phones_are_described_without_their_package(
    files, tmp_path, capsys, monkeypatch, suffix, begin, module, package
):
    info = ExportedModel(files["raw"]).info
    path = tmp_path / f"model{suffix}"
    path.write_bytes(begin)
    append_metadata(path, info.to_strings())
    monkeypatch.setitem(sys.modules, module, None)
    code, out, err = run_command(capsys, "info", path, "--json")
    assert (code, err) == (0, "")
    assert {"cut": "raw", "size_wh": [96, 64]}.items() <= json.loads(out).items()
    code, _, err = run_command(capsys, "info", path, "--operators")
    assert code == 2
    assert err == f"error: {path} needs the package {package} to be read: pip install {package}\n"
    path.write_bytes(begin)
    append_metadata(path, {})
    code, _, err = run_command(capsys, "info", path)
    assert code == 2
    assert err == f"error: {path} is not an RTMO model: it has no metadata of `rtmo export`.\n"


def test_command_prints_a_table(files, tiny_model, capsys):
    code, out, err = run_command(capsys, "info", files["raw"], "--operators")
    assert (code, err) == (0, "")
    rows = dict(line.split() for line in out.splitlines())
    counts = count_operators(files["raw"])
    assert rows == {**{name: str(number) for name, number in counts.items()}, "total": str(sum(counts.values()))}
    code, _, err = run_command(capsys, "info", tiny_model[1], "--operators")
    assert code == 2
    assert "--operators is for an exported file" in err
