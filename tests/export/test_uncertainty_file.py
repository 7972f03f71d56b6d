"""Standard deviations of keypoints in exported files: those of PyTorch, only where they were asked for."""

import copy
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rtmo_plugin import Pose
from rtmo_plugin.api import export
from rtmo_plugin.errors import ConfigError, DataError, ExportError
from rtmo_plugin.export.checks.comparison import compare_with_pytorch
from rtmo_plugin.export.checks.tolerance import FLOAT32
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.writers.onnx_file import open_content
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.uncertainty_calibration import UncertaintyCalibration
from tests.export.conftest import build_tiny
from tests.tiny_files import make_image


@pytest.fixture(scope="module")
def uncertain(tiny_model, files, tmp_path_factory):
    """Return a folder with files that hold deviations; those of the cut ``raw`` always do."""
    folder = tmp_path_factory.mktemp("uncertain")
    for cut in ("end2end", "decoded"):
        export(*tiny_model, folder / f"{cut}.onnx", cut=cut, dynamic="none", uncertainty=True, top_k=30)
    for name in ("raw.onnx", "raw.npz"):
        (folder / name).symlink_to(files["raw"].with_name(name))
    return folder


@pytest.fixture(scope="module")
def expected(tiny_model):
    config, checkpoint = tiny_model
    return Pose(checkpoint, config=config, score_thr=0.0, device="cpu", uncertainty=True)(make_image(150, 70))


@pytest.mark.parametrize("cut", ["end2end", "decoded", "raw"])
def test_deviations_are_those_of_the_checkpoint_in_pixels_of_the_image(uncertain, expected, cut):
    image = make_image(150, 70)
    found = Pose(uncertain / f"{cut}.onnx", score_thr=0.0, uncertainty=True, precision="float32")(image)
    assert len(found) == len(expected) > 2
    assert np.median(np.abs(found.uncertainty - expected.uncertainty)) < 0.01
    np.testing.assert_allclose(found.uncertainty, expected.uncertainty, rtol=0.02, atol=0.2)
    assert "uncertainty" in found.to_dict()["people"][0]
    assert Pose(uncertain / f"{cut}.onnx", score_thr=0.0)(image).uncertainty is None


def test_the_output_is_an_extra_one(uncertain):
    session = onnxruntime.InferenceSession(uncertain / "end2end.onnx", providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == ["dets", "keypoints", "uncertainty"]
    assert session.get_outputs()[2].shape[-2:] == [17, 2]


def test_file_without_them_says_how_to_get_them(files, uncertain, tmp_path):
    with pytest.raises(ConfigError, match=r"end2end\.onnx holds no uncertainty of keypoints: export it with --uncert"):
        Pose(files["end2end"], uncertainty=True)
    earlier = tmp_path / "raw.onnx"
    earlier.write_bytes((uncertain / "raw.onnx").read_bytes())
    with np.load(uncertain / "raw.npz") as arrays:
        np.savez(earlier.with_suffix(".npz"), **{k: v for k, v in arrays.items() if not k.startswith("sigma")})
    assert len(ExportedModel(earlier).predict(make_image())) > 0
    with pytest.raises(ConfigError, match="holds no uncertainty"):
        ExportedModel(earlier, uncertainty=True)


def test_wrong_deviations_are_refused(uncertain):
    model = copy.deepcopy(build_tiny())
    options = ExportOptions((96, 64), dynamic=(), uncertainty=True)
    run = open_content((uncertain / "end2end.onnx").read_bytes())
    compare_with_pytorch(model, run, options, FLOAT32).check("The file", FLOAT32)
    with torch.no_grad():
        model.head.dcc.sigma_fc[2].scale.mul_(2)
    with pytest.raises(ExportError, match=r"an? (standard deviation|uncertainty) differs"):
        compare_with_pytorch(model, run, options, FLOAT32).check("The file", FLOAT32)


def test_a_calibration_is_stored_and_applied(tiny_model, uncertain, tmp_path):
    calibration, image = tmp_path / "sigma.json", make_image()
    calibration.write_text(UncertaintyCalibration(1.5).to_json())
    path = tmp_path / "calibrated.onnx"
    export(*tiny_model, path, dynamic="none", uncertainty=True, uncertainty_calibration=calibration)
    plain, found = (Pose(each, uncertainty=True)(image) for each in (uncertain / "end2end.onnx", path))
    np.testing.assert_allclose(found.uncertainty, 1.5 * plain.uncertainty, rtol=1e-5)
    metadata = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert (json.loads(metadata["uncertainty"]), json.loads(metadata["uncertainty_factor"])) == (True, 1.5)
    with pytest.raises(ConfigError, match="--uncertainty-calibration is for --uncertainty, which is missing"):
        export(*tiny_model, tmp_path / "x.onnx", uncertainty_calibration=calibration)
    calibration.write_text('{"kind": "logistic", "factor": 2}')
    with pytest.raises(DataError, match=r"sigma\.json is not an uncertainty calibration"):
        export(*tiny_model, tmp_path / "x.onnx", uncertainty=True, uncertainty_calibration=calibration)


@pytest.mark.parametrize(("cut", "words"), [("raw", "needs no --uncertainty"), ("fused", "has no place for --uncert")])
def test_cuts_without_the_output_say_so(cut, words):
    with pytest.raises(ConfigError, match=f"--cut {cut} {words}"):
        ExportOptions(cut=cut, uncertainty=True)


def test_supervision_has_covariances(uncertain):
    pytest.importorskip("supervision", reason="the package supervision is not installed")
    found = Pose(uncertain / "end2end.onnx", uncertainty=True)(make_image())
    covariance = found.to_supervision().data["covariance"]
    assert covariance.shape == (len(found), 17, 2, 2)
    np.testing.assert_allclose(np.diagonal(covariance, axis1=-2, axis2=-1), found.uncertainty**2, rtol=1e-5)
    assert not covariance[..., 0, 1].any()
