"""Core ML packages compute what PyTorch computes, as far as PyTorch can run them, or are not kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtmo_plugin.errors import ConfigError, ExportError
from tests.export.test_onnx_file import make_info, make_options

coremltools = pytest.importorskip("coremltools", reason="the package coremltools is not installed")


def write(model, path, **changes):
    from rtmo_plugin.export.writers.coreml_file import write_coreml

    options = make_options(**{"cut": "raw", "dynamic": (), **changes})
    info = replace(make_info(model, options), dynamic=(), input=options.input, precision=options.precision)
    return write_coreml(model, path, options, info)


def read_spec(path):
    return coremltools.models.MLModel(str(path), skip_model_load=True).get_spec()


def test_decoded_package_takes_an_image_and_gives_named_arrays(tiny, tmp_path):
    from rtmo_plugin.export.checks.coreml_program import CoreMlProgram

    path = tmp_path / "model.mlpackage"
    path.mkdir()
    (path / "Manifest.json").write_text("an older package")
    found = write(tiny, path, cut="decoded", input="uint8")
    assert max(found.score, found.box, found.keypoint) < 0.1
    assert found.num_people > 5
    assert [each.name for each in tmp_path.iterdir()] == ["model.mlpackage"]
    assert sorted(each.name for each in path.iterdir()) == ["Data", "Manifest.json"]
    spec = read_spec(path)
    (given,) = spec.description.input
    image = given.type.imageType
    assert (given.name, image.width, image.height) == ("input", 96, 64)
    assert image.colorSpace == image.ColorSpace.Value("BGR")
    shapes = {each.name: list(each.type.multiArrayType.shape) for each in spec.description.output}
    assert shapes == {"dets": [1, 20, 5], "labels": [1, 20], "keypoints": [1, 20, 17, 3]}
    assert spec.description.metadata.userDefined["cut"] == '"decoded"'
    operators = CoreMlProgram(path).list_operators()
    assert operators.count("conv") == 84
    assert operators.count("topk") == 1


def test_float16_of_the_raw_cut(tiny, tmp_path):
    found = write(tiny, tmp_path / "model.mlpackage", half=True)
    assert 1e-4 < found.maps < 1  # rounded, and not to pieces
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.mlpackage", "model.npz"]
    (given,) = read_spec(tmp_path / "model.mlpackage").description.input
    assert list(given.type.multiArrayType.shape) == [1, 3, 64, 96]


def test_wrong_program_is_not_kept(tiny, tmp_path, monkeypatch):
    from rtmo_plugin.export.checks import coreml_program

    monkeypatch.setitem(coreml_program._OPERATORS, "silu", torch.relu)
    with pytest.raises(ExportError, match="does not compute what PyTorch computes, and was not kept"):
        write(tiny, tmp_path / "model.mlpackage")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delitem(coreml_program._OPERATORS, "silu")
    with pytest.raises(ExportError, match="The operator silu of Core ML cannot be compared"):
        write(tiny, tmp_path / "model.mlpackage")


@pytest.mark.parametrize("changes", [{"cut": "end2end"}, {"dynamic": ("batch",)}])
def test_what_cannot_be_is_refused(tiny, tmp_path, changes):
    with pytest.raises(ConfigError, match=r"model\.mlpackage can hold one image of one size before NMS"):
        write(tiny, tmp_path / "model.mlpackage", **changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("operator", "given", "expected"),
    [
        ("slice_by_index", {"x": np.arange(6.0), "begin": [1], "end": [5], "stride": [2]}, [1, 3]),
        ("slice_by_index", {"x": np.arange(3.0), "begin": [2], "end": [0], "squeeze_mask": [True]}, 2),
        ("clip", {"x": np.array([-1.0, 0.5]), "alpha": 0.0, "beta": 1.0}, [0, 0.5]),
        ("max_pool", {"x": np.array([[[[-1.0, -2.0]]]]), "kernel_sizes": [1, 3], "strides": [1, 1],
                      "pad_type": "custom", "pad": [0, 0, 1, 1]}, [[[[-1, -1]]]]),
    ],
)  # fmt: skip
def test_operators(operator, given, expected):
    from rtmo_plugin.export.checks.coreml_program import _OPERATORS

    given["x"] = torch.from_numpy(given["x"])
    assert _OPERATORS[operator](**given).tolist() == expected
