"""Pipelines with another input size: the ablations' own have it everywhere, and the given one stays."""

import pytest

from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.sections import resize_steps, walk_sections
from tests.conftest import ROOT

STEPS = [
    {"type": "RandomFlip"},
    {"type": "GenerateTarget", "encoder": {"type": "YOLOXPoseAnnotationProcessor", "input_size": (640, 640)}},
]


def test_encoders_are_resized_and_the_given_steps_stay():
    found = resize_steps(STEPS, (128, 96))
    assert found[1]["encoder"]["input_size"] == (128, 96)
    assert (found[0], STEPS[1]["encoder"]["input_size"]) == (STEPS[0], (640, 640))


@pytest.mark.parametrize("name", ["robots", "small_synthetic", "few"])
def test_small_ablations_have_one_size(name):
    cfg = load_config(ROOT / f"configs/ablations/_base_/{name}.py")
    stage = cfg.default_hooks.training_stages.schedule.finish.pipeline
    parts = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader, stage)
    sizes = [[tuple(each["input_size"]) for each in walk_sections(part) if "input_size" in each] for part in parts]
    assert [set(each) for each in sizes] == [{(128, 128)}] * 4
    assert [len(each) for each in sizes] == [2, 1, 1, 2]
