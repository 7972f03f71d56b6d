"""RTMO without a config file: sizes, named outputs, and the weights of MMPose's model."""

import pytest
import torch

from rtmo_plugin import RTMO, CSPConfig, RTMOConfig
from rtmo_plugin.errors import CheckpointError, ConfigError, DataError
from tests.oracle import build_model, load_official, randomize, spread_scores

# FACTS of the paper's repository: millions of parameters in training.
SIZES = {"tiny": 6.83, "small": 9.87, "medium": 22.53, "large": 44.69}


@pytest.mark.parametrize("size", SIZES)
def test_sizes_have_their_parameters(size, monkeypatch):
    monkeypatch.setattr("mmengine.model.BaseModule.init_weights", lambda _: None)  # most of the time
    model = RTMO(RTMOConfig(backbone_config=CSPConfig(size=size), num_classes=1, num_keypoints=17))
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == SIZES[size]


@pytest.fixture(scope="module")
def theirs():
    """Return MMPose's RTMO-s with weights whose scores differ."""
    torch.manual_seed(0)
    model = build_model(load_official("rtmo-s_coco"))
    randomize(model, 0)
    spread_scores(model.head, std=1.0)
    return model.eval()


def test_official_weights_load_and_people_are_named(theirs, tmp_path, capsys):
    path = tmp_path / "rtmo-s.pth"
    torch.save({"state_dict": theirs.state_dict()}, path)
    model = RTMO(RTMOConfig(score_thr=0.5)).eval()
    model.load_state_dict(theirs.state_dict(), strict=True)
    model.load_weights(path)
    images = torch.rand(2, 3, 64, 96) * 255
    with torch.no_grad():
        people = model(images)
        one = model(images[1:])
        feats = theirs.neck(theirs.backbone(images))
    assert capsys.readouterr().out == ""  # MMEngine would print every parameter
    scores = torch.cat([level.sigmoid().flatten(1) for level in theirs.head(feats)[0]], dim=1)
    assert people.keypoints.shape == (len(people), 17, 2)
    assert people.scores.max() == pytest.approx(scores.max().item(), abs=1e-5)
    torch.testing.assert_close(people.select(1).keypoints, one.keypoints, rtol=1e-3, atol=1e-2)

    with pytest.raises(CheckpointError, match="checkpoint is rtmo-s with 17 keypoints, config is rtmo-t with 17"):
        RTMO(RTMOConfig(CSPConfig("tiny"))).load_weights(path)


def test_an_untrained_model_takes_the_example_of_the_issue():
    model = RTMO(RTMOConfig(CSPConfig("tiny"), keypoints={"names": ["a", "b"], "sigmas": [0.1, 0.1]}, num_keypoints=2))
    with torch.no_grad():
        people = model.eval()(torch.randn(1, 3, 64, 64))
    assert people.keypoints.shape == (0, 2, 2)  # untrained scores are 1 %
    with pytest.raises(DataError, match=r"multiples of 32, got \(1, 3, 64, 65\)"):
        model(torch.randn(1, 3, 64, 65))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CSPConfig(size="huge"), "The size 'huge' of RTMO is unknown: choose tiny, small, medium, large"),
        (lambda: RTMOConfig(num_keypoints=5), r"num_keypoints=5 needs keypoints=dict\("),
        (lambda: RTMOConfig(num_keypoints=5, keypoints="coco"), "num_keypoints=5, and keypoints has 17"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
