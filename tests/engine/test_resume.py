"""The real model in real runs of the real recipe, shortened: resumed anywhere = never stopped."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from tests.oracle import OUR_CONFIGS
from tests.tiny import describe_people, shrink

# The recipe's epochs in a run of six: a warm-up, the stage switch at 2, the last stage from 4 on.
EPOCHS = {0: 0, 5: 1, 280: 2, 281: 3, 300: 2, 580: 4, 600: 6}
INPUT_SIZE = (64, 64)


def make_pipeline(cfg, flip_probability):
    """Return the last stage's transforms without what is random between runs."""
    pipeline = copy.deepcopy(cfg.default_hooks.training_stages.schedule.finish.pipeline)
    steps = [step for step in pipeline if step.type != "YOLOXHSVRandomAug"]
    for step in steps:
        if "input_size" in step:
            step.input_size = INPUT_SIZE
        if step.type == "RandomFlip":
            step.prob = flip_probability
        if step.type == "GenerateTarget":
            step.encoder.input_size = INPUT_SIZE
    return steps


def shorten(work_dir):
    """Return the recipe of RTMO-s on COCO for six short epochs of a narrow model."""
    cfg = Config.fromfile(OUR_CONFIGS / "rtmo-s_coco.py")
    first, last = (make_pipeline(cfg, probability) for probability in (0.0, 1.0))
    cfg.model = shrink(cfg.model)
    cfg.model.data_preprocessor.batch_augments = None
    cfg.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False, pin_memory=False)
    cfg.train_dataloader.dataset = describe_people(cfg, first, num_images=4)
    for scheduler in cfg.param_scheduler:
        scheduler.update({key: EPOCHS[scheduler[key]] for key in ("begin", "end", "T_max") if key in scheduler})
    schedule = cfg.default_hooks.training_stages.schedule
    for stage in schedule.values():
        stage.begin = EPOCHS[stage.begin]
    schedule.finish.update(dataset=describe_people(cfg, last, num_images=6, seed=1), pipeline=last)
    del schedule.finish.dataset["pipeline"]
    schedule.finish.pipeline = describe_people(cfg, last)["pipeline"]
    cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=-1)
    cfg.train_cfg = {"by_epoch": True, "max_epochs": 6}
    nothing = dict.fromkeys(f"{loop}_{part}" for loop in ("val", "test") for part in ("dataloader", "evaluator", "cfg"))
    cfg.merge_from_dict({**nothing, "randomness": {"seed": 3}, "work_dir": str(work_dir)})
    return Config(cfg.to_dict(), format_python_code=False)  # the formatter takes longer than the training


def train(work_dir, resume=None):
    cfg = shorten(work_dir)
    cfg.experiment_name = str(work_dir)
    if resume:
        cfg.update(load_from=str(resume), resume=True)
    Runner.from_cfg(cfg).train()
    return torch.load(work_dir / "epoch_6.pth", weights_only=True)


def find_different(found, expected, name):
    """Return the names of the values that are not equal to the last bit."""
    if isinstance(expected, torch.Tensor):
        return [] if torch.equal(found, expected) else [name]
    if not isinstance(expected, (dict, list, tuple)):
        return [] if found == expected else [name]
    pairs = expected.items() if isinstance(expected, dict) else enumerate(expected)
    assert len(found) == len(expected), name
    return [one for key, value in pairs for one in find_different(found[key], value, f"{name}.{key}")]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp("straight")
    return work_dir, train(work_dir)


@pytest.mark.parametrize("epoch", [2, 3, 4, 5])
def test_defect_07_resumed_run_ends_where_a_straight_run_does(straight, tmp_path, epoch):
    work_dir, expected = straight
    found = train(tmp_path, resume=work_dir / f"epoch_{epoch}.pth")
    assert found["meta"]["iter"] == expected["meta"]["iter"] == 4 * 2 + 2 * 3
    for part in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        assert find_different(found[part], expected[part], part) == []


def test_stages_change_what_is_learned(straight, tmp_path):
    """Without this the equality above would prove nothing."""
    work_dir, expected = straight
    cfg = shorten(tmp_path)
    cfg.update(experiment_name=str(tmp_path), load_from=str(work_dir / "epoch_5.pth"), resume=True)
    cfg.default_hooks.training_stages.schedule = {"warmup": {"begin": 0}}
    Runner.from_cfg(cfg).train()
    found = torch.load(tmp_path / "epoch_6.pth", weights_only=True)
    name = "head.head_module.out_bbox.0.weight"
    assert not torch.equal(found["state_dict"][name], expected["state_dict"][name])
