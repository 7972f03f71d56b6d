"""ExecuTorch's files say what PyTorch says, or are not kept."""

from dataclasses import replace

import numpy as np
import pytest

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.runtime.engines.appended_metadata import append_metadata
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.operators import count_operators
from tests.export.conftest import check_damage_is_refused, check_like_onnx_runtime
from tests.export.test_onnx_file import make_info, make_options

pytestmark = pytest.mark.slow  # converting takes a minute
pytest.importorskip("executorch", reason="the package executorch is not installed")


def write(model, path, **changes):
    from rtmo_plugin.export.writers.executorch_file import write_executorch

    options = make_options(**{"cut": "raw", "dynamic": (), **changes})
    info = replace(make_info(model, options), dynamic=(), input=options.input)
    return write_executorch(model, path, options, info), options, info


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    from rtmo_plugin.export.writers.onnx_file import write_onnx

    folder = tmp_path_factory.mktemp("executorch")
    found, options, info = write(tiny, folder / "model.pte", input="uint8")
    assert found.maps < 0.1
    assert sorted(path.name for path in folder.iterdir()) == ["model.npz", "model.pte"]
    write_onnx(tiny, folder / "other.onnx", options, info)
    return folder


def test_people_are_those_of_onnx_runtime(folder):
    check_like_onnx_runtime(folder / "model.pte", folder / "other.onnx")


def test_xnnpack_computes_every_convolution_and_linear_layer(folder):
    content = (folder / "model.pte").read_bytes()
    assert b"XnnpackBackend" in content
    assert b"aten::max_pool" not in content
    for name in (b"aten::convolution", b"aten::addmm", b"aten::mm", b"aten::linear"):
        assert name not in content
    counts = count_operators(folder / "model.pte")
    assert counts["XnnpackBackend"] > 0
    assert not [name for name in counts if name.startswith(("aten::conv", "aten::addmm", "aten::mm", "aten::linear"))]


def test_other_cuts_have_the_names_of_onnx(tiny, tmp_path):
    found, _, _ = write(tiny, tmp_path / "model.pte", cut="decoded")
    assert max(found.score, found.box, found.keypoint) < 1
    assert found.num_people == 20
    assert [path.name for path in tmp_path.iterdir()] == ["model.pte"]
    outputs = ExportedModel(tmp_path / "model.pte")._engine.run(np.zeros((1, 3, 64, 96), np.float32))
    assert {name: value.shape for name, value in outputs.items()} == {
        "dets": (1, 20, 5),
        "labels": (1, 20),
        "keypoints": (1, 20, 17, 3),
    }


@pytest.mark.parametrize("changes", [{"cut": "end2end"}, {"dynamic": ("batch",)}, {"half": True}])
def test_what_cannot_be_is_refused(tiny, tmp_path, changes):
    with pytest.raises(ConfigError, match=r"model\.pte can hold one image of one size before NMS, in float32"):
        write(tiny, tmp_path / "model.pte", **changes)
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_are_refused(folder, tmp_path, capfd):
    check_damage_is_refused(folder / "model.pte", tmp_path, "ExecuTorch")
    assert capfd.readouterr() == ("", "")  # nothing of the runtime's own
    with pytest.raises(ConfigError, match="ExecuTorch computes in the precision of the file, not in bfloat16"):
        ExportedModel(folder / "model.pte", precision="bfloat16")


def test_another_program_with_its_hash_is_refused(folder, tmp_path, capfd):
    path, content = tmp_path / "model.pte", (folder / "model.pte").read_bytes()
    model = content[: content.rindex(b"PK\3\4")]
    for other in (model[:5000], model[:1000] + bytes(1000) + model[2000:]):
        path.write_bytes(other)
        append_metadata(path, {})
        with pytest.raises(DataError, match=r"model\.pte cannot be read as a model of ExecuTorch: [a-zA-Z]"):
            ExportedModel(path)
    path.write_bytes(model)
    append_metadata(path, {})
    with pytest.raises(DataError, match="is not an RTMO model: it has the outputs"):
        ExportedModel(path)
    assert capfd.readouterr() == ("", "")
