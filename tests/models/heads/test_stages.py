import copy
import dataclasses

import pytest

from rtmo_plugin.models.heads.stages import DEFAULT_STAGES, LOSS_NAMES, Stage, build_stages


def test_default_stages():
    stages = build_stages()
    warmup = {"cls": 1.0, "bbox": 5.0, "oks": 30.0, "vis": 1.0, "mle": 1.0, "bbox_aux": 0.0}
    refine = {**warmup, "oks": 10.0, "mle": 5.0}
    assert stages == {
        "warmup": Stage(warmup, 0.5, "truth"),
        "refine": Stage(refine, 0.5, "dcc"),
        "finish": Stage({**refine, "bbox_aux": 1.0}, 0.5, "dcc"),
    }
    assert list(stages) == ["warmup", "refine", "finish"]
    assert set(warmup) == set(LOSS_NAMES)


def test_stage_inherits_from_the_one_before():
    stages = build_stages(
        {"warmup": {"weights": {"vis": 7.0}}, "refine": {"weights": {"cls": 2.0}, "class_target_power": 1.0}}
    )
    assert [stages[name].weights["vis"] for name in stages] == [7.0] * 3
    assert [stages[name].weights["cls"] for name in stages] == [1.0, 2.0, 2.0]
    assert [stages[name].class_target_power for name in stages] == [0.5, 1.0, 1.0]


def test_an_override_wins_over_the_default_of_its_stage():
    stages = build_stages({"refine": {"weights": {"mle": 0.5}, "proxy_target": "truth"}})
    assert [stages[name].weights["mle"] for name in stages] == [1.0, 0.5, 0.5]
    assert stages["finish"].proxy_target == "truth"


def test_arguments_and_defaults_are_left_alone():
    overrides, defaults = {"refine": {"weights": {"mle": 0.5}}}, copy.deepcopy(DEFAULT_STAGES)
    before = copy.deepcopy(overrides)
    build_stages(overrides)
    assert (overrides, DEFAULT_STAGES) == (before, defaults)


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        ({"refined": {}}, KeyError, "Unknown training stage 'refined': name one of warmup, refine, finish"),
        ({"refine": {"weight": {}}}, KeyError, "Stage 'refine' has no field 'weight'"),
        ({"refine": {"weights": {"kpt": 1.0}}}, ValueError, r"missing or unknown: \['kpt'\]"),
        ({"refine": {"weights": {"mle": -1.0}}}, ValueError, "Loss weights must not be negative"),
        ({"refine": {"proxy_target": "proxy"}}, ValueError, r"one of \('truth', 'dcc'\), got 'proxy'"),
    ],
)
def test_wrong_overrides(overrides, error, message):
    with pytest.raises(error, match=message):
        build_stages(overrides)


def test_stage_lacks_a_weight():
    with pytest.raises(ValueError, match=r"missing or unknown: \['bbox', 'bbox_aux', 'mle', 'oks', 'vis'\]"):
        Stage({"cls": 1.0}, 0.5, "truth")


def test_stage_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        build_stages()["warmup"].class_target_power = 1.0
