"""Uncertainty of keypoints in results, JSON and plots, and nothing of it where it was not asked for."""

import json

import cv2
import numpy as np
import pytest
import torch

from rtmo_plugin import RTMO, CSPConfig, Pose, RTMOConfig
from rtmo_plugin.errors import ConfigError
from tests.conftest import run_command
from tests.oracle import randomize, spread_scores
from tests.tiny_files import make_image


@pytest.fixture(scope="module")
def results(tiny_model):
    """Return the results of one image without uncertainty and with it."""
    config, checkpoint = tiny_model
    options = {"config": config, "score_thr": 0.1, "device": "cpu"}
    return [Pose(checkpoint, **options, **more)(make_image()) for more in ({}, {"uncertainty": True})]


def test_it_is_there_only_if_asked_for_and_changes_nothing_else(results):
    plain, found = results
    assert len(plain) > 0
    assert plain.uncertainty is None
    assert found.uncertainty.shape == found.keypoints.shape
    assert (found.uncertainty > 0).all()
    np.testing.assert_array_equal(found.keypoints, plain.keypoints)
    assert found[0].uncertainty.shape == (1, 17, 2)


def test_it_is_in_pixels_of_the_image(tiny_model, results):
    config, checkpoint = tiny_model
    twice = cv2.resize(make_image(), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    found = Pose(checkpoint, config=config, score_thr=0.1, device="cpu", uncertainty=True)(twice)
    assert np.median(found.uncertainty) == pytest.approx(2 * np.median(results[1].uncertainty), rel=0.2)


def test_json_and_plots_have_it(results):
    plain, found = results
    assert "uncertainty" not in plain.to_dict()["people"][0]
    people = json.loads(json.dumps(found.to_dict()))["people"]
    np.testing.assert_allclose(people[0]["uncertainty"], found.uncertainty[0], atol=0.006)
    assert (found.plot(keypoint_thr=0.0) != plain.plot(keypoint_thr=0.0)).any()


def test_command_prints_and_draws_it(tiny_model, tmp_path, capsys):
    config, checkpoint = tiny_model
    cv2.imwrite(str(tmp_path / "a.png"), make_image())
    arguments = ("predict", checkpoint, tmp_path / "a.png", "--config", config, "--score-thr", 0.1, "--json")
    code, out, err = run_command(capsys, *arguments, "--uncertainty", "--out", tmp_path / "found")
    assert (code, err) == (0, ""), err
    assert len(json.loads(out)["people"][0]["uncertainty"]) == 17


def test_what_has_none_refuses(tiny_model, files):
    config, checkpoint = tiny_model
    with pytest.raises(ConfigError, match=r"end2end\.onnx holds no uncertainty of keypoints"):
        Pose(files["end2end"], uncertainty=True)
    for option in ({"flip": True}, {"tile": 64}):
        with pytest.raises(ConfigError, match=f"uncertainty is not computed with {next(iter(option))}"):
            Pose(checkpoint, config=config, uncertainty=True, **option)


def test_network_without_a_config_returns_it():
    torch.manual_seed(0)
    model = RTMO(RTMOConfig(CSPConfig("tiny")))
    randomize(model, 0)
    spread_scores(model.head, std=1.0)
    with torch.no_grad():
        people = model.eval()(torch.rand(2, 3, 64, 96) * 255)
    assert people.uncertainty.shape == people.keypoints.shape
    assert (people.uncertainty > 0).all()
    assert people.select(1).uncertainty.shape == people.select(1).keypoints.shape
    second = people.select(1)
    probs, bins = second.distribution.probs_x, second.distribution.bins_x
    torch.testing.assert_close((probs * bins[:, None]).sum(-1), second.keypoints[..., 0])
