"""ncnn's files say what PyTorch says, or are not kept."""

from dataclasses import replace

import pytest

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.export.conftest import check_like_onnx_runtime
from tests.export.test_onnx_file import make_info, make_options

pytest.importorskip("ncnn", reason="the package ncnn is not installed")
pytest.importorskip("pnnx", reason="the package pnnx is not installed")


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    from rtmo_plugin.export.writers.ncnn_file import write_ncnn
    from rtmo_plugin.export.writers.onnx_file import write_onnx

    folder, options = tmp_path_factory.mktemp("ncnn"), make_options(cut="raw", dynamic=())
    info = replace(make_info(tiny, options), dynamic=())
    found = write_ncnn(tiny, folder / "model.param", options, info)
    assert found.maps < 0.1
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["model.bin", "model.json", "model.npz", "model.param"]
    write_onnx(tiny, folder / "other.onnx", options, info)
    return folder


def test_people_are_those_of_onnx_runtime(folder):
    check_like_onnx_runtime(folder / "model.param", folder / "other.onnx")


@pytest.mark.parametrize("changes", [{"cut": "end2end"}, {"dynamic": ("batch",)}, {"input": "uint8"}, {"half": True}])
def test_what_cannot_be_is_refused(tiny, tmp_path, changes):
    from rtmo_plugin.export.writers.ncnn_file import write_ncnn

    options = make_options(**{"cut": "raw", "dynamic": (), **changes})
    with pytest.raises(ConfigError, match=r"model\.param can hold the head's maps of one image alone"):
        write_ncnn(tiny, tmp_path / "model.param", options, make_info(tiny, options))
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_are_refused(folder, tmp_path):
    path = tmp_path / "model.param"
    path.write_bytes((folder / "model.param").read_bytes())
    with pytest.raises(DataError, match=r"model\.json cannot be read, and it must hold the keypoints"):
        ExportedModel(path)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(DataError, match="does not describe an RTMO"):
        ExportedModel(path)
    path.with_suffix(".json").write_bytes((folder / "model.json").read_bytes())
    path.with_suffix(".npz").write_bytes((folder / "model.npz").read_bytes())
    with pytest.raises(DataError, match=r"model\.bin is not there"):
        ExportedModel(path)
    with pytest.raises(ConfigError, match="ncnn computes in the precision of the file, not in bfloat16"):
        ExportedModel(path, precision="bfloat16")
    with pytest.raises(ConfigError, match=r"ncnn runs here on the cpu, not on cuda\.$"):
        ExportedModel(path, device="cuda")
