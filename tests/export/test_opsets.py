"""ONNX files of older and newer opsets say what PyTorch says, with dynamic axes in every cut."""

import onnx
import pytest

from rtmo_plugin.api import export
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.export.export_options import ExportOptions
from tests.export.test_onnx_file import write

BOTH = ("batch", "size")


@pytest.mark.parametrize(
    ("opset", "options"),
    [
        (11, {"dynamic": BOTH, "uncertainty": True}),
        # The first has these operators and more; tiny_files.py makes raw files of one size.
        pytest.param(11, {"cut": "raw", "dynamic": ()}, marks=pytest.mark.slow),
        (12, {"cut": "decoded", "dynamic": BOTH}),
        (13, {"cut": "fused", "dynamic": BOTH}),
        (20, {"cut": "raw", "dynamic": BOTH}),
    ],
)
def test_a_file_of_any_opset_computes_what_pytorch_computes(tiny, tmp_path, opset, options):
    path, found, session = write(tiny, tmp_path, opset=opset, **options)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", opset)]
    assert max(found.score, found.box, found.keypoint, found.maps, found.uncertainty) < 1
    sizes = session.get_inputs()[0].shape
    assert sizes == (["batch", 3, "height", "width"] if options["dynamic"] else [1, 3, 64, 96])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"opset": 10}, "opset must be a whole number from 11 to 20, got 10"),
        ({"opset": 12, "int8": True, "int8_images": ("a.png",)}, "which ONNX has from --opset 13 on"),
    ],
)
def test_opsets_that_cannot_be_are_refused(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        ExportOptions(**options)


def test_other_formats_have_no_opset(tmp_path):
    with pytest.raises(ConfigError, match="--opset is for --format onnx, and openvino has none"):
        export("rtmo-t_coco", "none.pth", tmp_path / "a.xml", format="openvino", opset=17)
