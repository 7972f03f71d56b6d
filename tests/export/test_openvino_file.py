"""OpenVINO files say what PyTorch says, and OpenVINO runs ONNX files as well."""

import copy

import numpy as np
import onnx
import pytest
import torch

from rtmo_plugin.errors import ConfigError, DataError, ExportError
from rtmo_plugin.export.graphs import build_graph
from rtmo_plugin.export.writers import openvino_file
from rtmo_plugin.export.writers.onnx_file import convert_to_onnx
from rtmo_plugin.export.writers.openvino_file import write_openvino
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.export.conftest import IMAGE
from tests.export.test_onnx_file import make_info, make_options


@pytest.fixture(scope="module")
def default(tiny, tmp_path_factory):
    """Return an OpenVINO file, what was found, and an ONNX file of the same graph."""
    folder, options = tmp_path_factory.mktemp("openvino"), make_options()
    found = write_openvino(tiny, folder / "model.xml", options, make_info(tiny, options))
    strings = make_info(tiny, options).to_strings()
    onnx.save(convert_to_onnx(build_graph(tiny, options), options, strings), folder / "model.onnx")
    return folder / "model.xml", found, folder / "model.onnx"


def test_file_agrees_with_pytorch_and_with_onnx_runtime(tiny, default):
    path, found, other = default
    assert sorted(each.name for each in path.parent.iterdir()) == ["model.bin", "model.onnx", "model.xml"]
    assert (found.num_images, found.num_people > 50) == (15, True)
    assert max(found.score, found.box, found.keypoint) < 1
    models = [ExportedModel(file, precision="float32") for file in (path, other)]
    models.append(ExportedModel(other, runtime="onnxruntime"))
    assert [model.info for model in models] == [make_info(tiny, make_options())] * 3
    first, *others = (model.predict(IMAGE) for model in models)
    assert len(first) > 0
    for people in others:
        np.testing.assert_allclose(people.scores, first.scores, rtol=0, atol=1e-4)
        np.testing.assert_allclose(people.keypoints, first.keypoints, rtol=0, atol=0.5)


def test_wrong_file_is_not_kept(tiny, tmp_path, monkeypatch):
    other, options = copy.deepcopy(tiny), make_options(cut="raw", dynamic=())
    with torch.no_grad():
        other.head.head_module.out_pose[0].bias.add_(0.3)
    monkeypatch.setattr(openvino_file, "build_graph", lambda _, options: build_graph(other, options))
    with pytest.raises(ExportError, match="what PyTorch computes, and was not kept: the maps differ"):
        write_openvino(tiny, tmp_path / "model.xml", options, make_info(tiny, options))
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_are_refused(default, tmp_path):
    path = tmp_path / "model.xml"
    path.write_bytes(default[0].read_bytes())
    with pytest.raises(DataError, match=r"its weights, model\.bin, are not beside it"):
        ExportedModel(path)
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"model\.xml cannot be read as a model"):
        ExportedModel(path)
    path.write_text("<net>")
    with pytest.raises(DataError, match=r"model\.xml cannot be read as a model"):
        ExportedModel(path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"precision": "int4"}, "The precision int4 is unknown"),
        ({"device": "tpu"}, "The device tpu cannot be used: OpenVINO finds CPU"),
    ],
)
def test_options_that_cannot_be_are_refused(default, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        ExportedModel(default[0], **options)


def test_onnx_runtime_has_one_precision(default):
    with pytest.raises(ConfigError, match="ONNX Runtime does not compute in bfloat16"):
        ExportedModel(default[2], runtime="onnxruntime", precision="bfloat16")
