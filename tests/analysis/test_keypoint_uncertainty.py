"""Standard deviations of keypoints against known errors: a factor that makes them right, and its measure."""

import dataclasses

import numpy as np
import pytest

from rtmo_plugin.analysis.measures.keypoint_uncertainty import calibrate_uncertainty
from rtmo_plugin.analysis.measures.study import study
from rtmo_plugin.engine.evaluating import run_evaluation
from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.uncertainty_calibration import UncertaintyCalibration
from tests.analysis.analysis_cases import answer, compare_with, make_people
from tests.conftest import run_command


def make_study(num_images=30, true_factor=2.0):
    """Return people whose keypoints are off by a normal distribution, ``true_factor`` times as wide as predicted."""
    truth, random = make_people(num_images), np.random.default_rng(0)
    found = answer(truth)
    deviations = random.uniform(0.5, 3, (*found.keypoints.shape[:2], 1)).repeat(2, axis=-1)
    noise = true_factor * deviations * random.normal(size=deviations.shape)
    detections = dataclasses.replace(found, keypoints=found.keypoints + noise, deviations=deviations)
    return study(compare_with(truth, detections), COCO.flip_pairs)


def test_the_factor_is_the_one_that_the_errors_have():
    found = calibrate_uncertainty(make_study())
    assert found.calibration.factor == pytest.approx(2, rel=0.05)
    assert (found.before.one, found.before.two) == pytest.approx((0.383, 0.683), abs=0.03)
    assert (found.after.one, found.after.two) == pytest.approx((0.683, 0.954), abs=0.03)
    assert 0.4 < found.correlation < 0.9
    assert found.num_keypoints == 15 * 4 * 17
    assert "with the factor 2.0" in found.describe()


def test_a_few_keypoints_that_are_far_off_do_not_move_it():
    known = make_study()
    points = known.comparison.detections.keypoints
    points[:, 3] += 25
    assert calibrate_uncertainty(known).calibration.factor == pytest.approx(2.2, rel=0.1)


def test_without_deviations_there_is_nothing_to_measure():
    truth = make_people(4)
    assert calibrate_uncertainty(study(compare_with(truth, answer(truth)), COCO.flip_pairs)) is None


def test_one_image_is_too_few():
    with pytest.raises(DataError, match="people must be found in two images or more"):
        calibrate_uncertainty(make_study(num_images=1))


def test_a_file_has_the_deviations_of_its_checkpoint(config, data_root, trained, trained_file, tiny_file, tmp_path):
    options = {"data_root": data_root, "work_dir": tmp_path, "uncertainty": True}
    everyone = {"model.test_cfg.score_thr": 0.0}
    model = run_evaluation(config, trained.checkpoint, keep_people=True, cfg_options=everyone, **options)
    exported = run_evaluation(config, trained_file, **options)
    ours, theirs = (each.people.comparison.detections for each in (exported, model))
    for image in range(3):
        best = [np.flatnonzero(each.image == image)[:5] for each in (ours, theirs)]
        assert ours.deviations[best[0]] == pytest.approx(theirs.deviations[best[1]], rel=0.02, abs=0.05)
    with pytest.raises(ConfigError, match=r"tiny\.onnx holds no uncertainty of keypoints"):
        run_evaluation(config, tiny_file, **options)


def test_one_command_writes_a_calibration(config, data_root, trained, tmp_path, capsys):
    out, data = tmp_path / "sigma.json", ("--data-root", data_root, "--work-dir", tmp_path)
    arguments = ("analyze", config, trained.checkpoint, "--out", tmp_path / "page.html", *data)
    arguments += ("--cfg-options", "model.test_cfg.score_thr=0.0", "--uncertainty-calibration", out)
    code, printed, err = run_command(capsys, *arguments)
    assert code == 0, err
    factor = UncertaintyCalibration.read(out).factor
    assert f"with the factor {factor:.3f}" in printed
    assert f"with the factor {factor:.3f}" in (tmp_path / "page.html").read_text(encoding="utf-8")
