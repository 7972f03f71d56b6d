"""A calibration of scores: what it computes, and how it travels."""

import numpy as np
import pytest

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.score_calibration import ScoreCalibration


def test_calibrated_scores_written_out():
    calibration = ScoreCalibration(score_weight=2.0, keypoint_weight=1.0, bias=-0.5)
    logit = 2 * np.log(0.8 / 0.2) + np.log(0.6 / 0.4) - 0.5
    found = calibration.apply(np.array([0.8], np.float32), np.array([[0.5, 0.7]], np.float32))
    assert found == pytest.approx([1 / (1 + np.exp(-logit))], abs=1e-6)


def test_scores_of_0_and_1_stay_between():
    found = ScoreCalibration(1.0, 0.0, 0.0).apply(np.array([0.0, 1.0]), np.array([[1.0], [0.0]]))
    assert (0 < found[0] < 1e-5, 1 - 1e-5 < found[1] < 1) == (True, True)


def test_what_is_written_is_read(tmp_path):
    calibration = ScoreCalibration(1.25, -0.5, 0.1)
    (tmp_path / "scores.json").write_text(calibration.to_json())
    assert ScoreCalibration.read(tmp_path / "scores.json") == calibration


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"kind": "isotonic"}', '{"kind": "logistic"}', '{"kind": "logistic", "bias": "high"}']
)
def test_something_else_is_refused(text, tmp_path):
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(DataError, match=r"scores\.json is not a score calibration"):
        ScoreCalibration.read(tmp_path / "scores.json")
    with pytest.raises(MissingFileError, match=r"The calibration file .* does not exist"):
        ScoreCalibration.read(tmp_path / "none.json")
