"""Weights of another model, or not all of them, are refused in a sentence; files without hashes open as before."""

import copy
import re
import shutil

import pytest
import torch

from rtmo_plugin.errors import DataError
from rtmo_plugin.export.writers.openvino_file import write_openvino
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.export.conftest import IMAGE, build_tiny
from tests.export.test_onnx_file import make_info, make_options

MIXED = (
    r"model\.bin is damaged, or not of the same export as the files of its name beside it: copy all of them again "
    r"\(if another program changed it on purpose, remove sha256\.bin from .*model\.(xml|json)\)"
)


@pytest.fixture(scope="module")
def models():
    """Return a model and one with the same layers and other weights."""
    tiny = build_tiny()
    other = copy.deepcopy(tiny)
    with torch.no_grad():
        other.backbone.stem.conv.conv.weight.add_(0.01)
    return tiny, other


@pytest.fixture(scope="module", params=["openvino", "ncnn"])
def exports(request, models, tmp_path_factory):
    """Return the files of both models in a format."""
    if request.param == "ncnn":
        pytest.importorskip("ncnn", reason="the package ncnn is not installed")
        pytest.importorskip("pnnx", reason="the package pnnx is not installed")
        from rtmo_plugin.export.writers.ncnn_file import write_ncnn as write
    else:
        write = write_openvino
    options = make_options(cut="raw", dynamic=())
    paths = [tmp_path_factory.mktemp(request.param) / f"model{'.xml' if write is write_openvino else '.param'}"] * 2
    paths = [path.with_name(name) / path.name for name, path in zip("ab", paths)]
    for model, path in zip(models, paths):
        path.parent.mkdir()
        write(model, path, options, make_info(model, options))
    return paths


@pytest.fixture
def copied(exports, tmp_path):
    """Return copies of the files."""
    for path in exports:
        shutil.copytree(path.parent, tmp_path / path.parent.name)
    return [tmp_path / path.parent.name / path.name for path in exports]


def test_files_of_one_export_open(copied):
    assert len(ExportedModel(copied[1]).predict(IMAGE)) > 0


def test_weights_of_another_model_are_refused(copied):
    shutil.copy(copied[0].with_suffix(".bin"), copied[1].with_suffix(".bin"))
    with pytest.raises(DataError, match=MIXED):
        ExportedModel(copied[1])


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_weights_cut_short_are_refused(copied, share):
    weights = copied[0].with_suffix(".bin")
    content = weights.read_bytes()
    weights.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=rf"{MIXED}|model\.xml cannot be read as a model"):
        ExportedModel(copied[0])


def test_files_without_hashes_open_with_any_weights(copied):
    holder = copied[1] if copied[1].suffix == ".xml" else copied[1].with_suffix(".json")
    text, count = re.subn(r".*sha256.*\n", "", holder.read_text())
    assert count > 0
    holder.write_text(re.sub(r",\s*}", "\n}", text))
    shutil.copy(copied[0].with_suffix(".bin"), copied[1].with_suffix(".bin"))
    assert ExportedModel(copied[1]).info == ExportedModel(copied[0]).info
