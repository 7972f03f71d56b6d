"""``--epochs``: schedule, stages, last phase and validations scale together and keep their shape."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmpose.registry import PARAM_SCHEDULERS
from torch import nn

from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.edits import prepare_config
from rtmo_plugin.config.epochs import scale_epochs, set_epochs
from rtmo_plugin.errors import ConfigError
from tests.engine.test_resume import find_different
from tests.faults.toy_training import describe, load, run

STEPS_AN_EPOCH = 10
RECIPES = ["rtmo-s_coco", "rtmo-m_crowdpose", "rtmo-s_custom", "rtmo-t_custom", "rtmo-t_synthetic"]


def list_rates(cfg):
    """Return the learning rate of each step of a run."""
    wrapper = OptimWrapper(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=cfg.optim_wrapper.optimizer.lr))
    built = []
    for entry in copy.deepcopy(cfg._cfg_dict.param_scheduler):
        convert = entry.pop("convert_to_iter_based", False)
        kind = PARAM_SCHEDULERS.get(entry.pop("type"))
        if convert:
            built.append(kind.build_iter_from_epoch(optimizer=wrapper, epoch_length=STEPS_AN_EPOCH, **entry))
        else:
            built.append(kind(optimizer=wrapper, **entry))
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        for _ in range(STEPS_AN_EPOCH):
            rates.append(wrapper.param_groups[0]["lr"])
            _step(built, by_epoch=False)
        _step(built, by_epoch=True)
    return rates


def _step(schedulers, by_epoch):
    for scheduler in schedulers:
        if scheduler.by_epoch == by_epoch:
            scheduler.step()


def list_begins(cfg):
    return {name: stage.begin for name, stage in cfg.default_hooks.training_stages.schedule.items()}


def test_official_schedule_in_a_tenth(capsys):
    cfg = load_config("rtmo-s_coco")
    set_epochs(cfg, 60)
    assert [(each.begin, each.end) for each in cfg.param_scheduler] == [(0, 1), (1, 28), (28, 29), (29, 58), (58, 60)]
    assert list_begins(cfg) == {"warmup": 0, "refine": 28, "finish": 58}
    assert cfg.train_cfg.max_epochs == 60
    assert (cfg.train_cfg.val_interval, list(map(tuple, cfg.train_cfg.dynamic_intervals))) == (2, [(58, 1)])
    assert cfg.default_hooks.checkpoint.interval == 4
    assert capsys.readouterr().out == (
        "60 epochs instead of 600, in the same shape: 3 training stages of epochs 1-28, epochs 29-58, epochs 59-60; "
        "validation every 2 epochs\n"
    )


def test_an_interval_of_validations_that_is_given_is_said(capsys):
    cfg = prepare_config("rtmo-s_coco", epochs=60, cfg_options={"train_cfg.val_interval": 1})
    assert cfg.train_cfg.val_interval == 1
    assert capsys.readouterr().out.endswith("epochs 59-60; validation every epoch\n")


@pytest.mark.parametrize("recipe", RECIPES)
def test_same_number_changes_nothing(recipe):
    cfg = load_config(recipe)
    before = copy.deepcopy(cfg._cfg_dict.to_dict())
    set_epochs(cfg, cfg.train_cfg.max_epochs)
    assert cfg._cfg_dict.to_dict() == before


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("factor", [0.3, 0.5, 2])
def test_rates_keep_their_shape(recipe, factor):
    cfg = load_config(recipe)
    expected = list_rates(cfg)
    epochs = max(round(cfg.train_cfg.max_epochs * factor), 6)
    set_epochs(cfg, epochs)
    found = list_rates(cfg)
    assert len(found) == epochs * STEPS_AN_EPOCH
    assert max(found) == pytest.approx(max(expected), rel=0.1)
    assert found[-1] == pytest.approx(expected[-1], rel=0.05)
    # Where the rate jumps, the refine stage begins, as before.
    refine = list_begins(cfg)["refine"] * STEPS_AN_EPOCH
    if "custom" in recipe and recipe != "rtmo-t_custom":
        assert found[refine] == pytest.approx(2.5 * found[refine - 1], rel=0.3)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("epochs", [6, 7, 11])
def test_every_phase_keeps_an_epoch(recipe, epochs):
    cfg = load_config(recipe)
    set_epochs(cfg, epochs)
    begins = [*list_begins(cfg).values(), epochs]
    assert begins == sorted(set(begins))
    assert all(each.end > each.begin for each in cfg.param_scheduler)
    assert cfg.param_scheduler[-1].end == epochs
    assert 1 <= cfg.train_cfg.val_interval <= epochs


def test_one_phase_an_epoch_is_the_least():
    with pytest.raises(ConfigError, match=r"--epochs 4 is too short: the schedule has 5 phases, .* an epoch each"):
        scale_epochs(600, 4, [5, 280, 281, 580])
    assert list(scale_epochs(600, 5, [5, 280, 281, 580], jumps=[280]).boundaries.values()) == [0, 1, 2, 3, 4, 5]


def test_longer_runs_are_validated_as_often():
    cfg = load_config("rtmo-t_custom")
    set_epochs(cfg, 160)
    assert (cfg.train_cfg.val_interval, cfg.default_hooks.checkpoint.interval) == (8, 8)
    assert list_begins(cfg) == {"warmup": 0, "refine": 60, "finish": 130}


def test_other_schedulers_scale_too():
    cfg = Config(
        {
            "train_cfg": {"by_epoch": True, "max_epochs": 100, "val_interval": 10},
            "param_scheduler": [
                {"type": "LinearLR", "by_epoch": False, "begin": 0, "end": 500},
                {"type": "MultiStepLR", "begin": 0, "milestones": [60, 90]},
                {"type": "ExponentialLR", "gamma": 0.9},
                {"type": "StepLR", "step_size": 20},
            ],
        }
    )
    set_epochs(cfg, 50)
    linear, milestones, exponential, step = cfg.param_scheduler
    assert linear.end == 250
    assert milestones.milestones == [30, 45]
    assert exponential.gamma == pytest.approx(0.81)
    assert step.step_size == 10


def test_hook_with_an_epoch_number_is_refused():
    cfg = load_config("rtmo-t_synthetic")
    cfg.custom_hooks.append({"type": "YOLOXModeSwitchHook", "num_last_epochs": 2})
    with pytest.raises(ConfigError, match="--epochs cannot scale num_last_epochs of YOLOXModeSwitchHook"):
        set_epochs(cfg, 12)


def test_constant_rate_for_a_while_stays_for_a_while():
    scheduler = {"type": "ConstantLR", "factor": 0.1, "begin": 0, "end": 5}
    cfg = Config({"train_cfg": {"max_epochs": 100}, "param_scheduler": [scheduler]})
    with pytest.raises(ConfigError, match="ConstantLR from epoch 0 to 5 needs two epochs"):
        set_epochs(cfg, 20)


def test_run_without_epochs_is_refused():
    with pytest.raises(ConfigError, match=r"--epochs needs train_cfg\.max_epochs"):
        set_epochs(Config({"train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 9}}), 3)


def test_two_numbers_of_epochs_are_refused_and_other_options_come_after(capsys):
    with pytest.raises(ConfigError, match="two numbers of epochs"):
        prepare_config("rtmo-t_synthetic", epochs=12, cfg_options={"train_cfg.max_epochs": 3})
    cfg = prepare_config("rtmo-t_synthetic", epochs=12, cfg_options={"train_cfg.val_interval": 5})
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (12, 5)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """Return the folder of a run of three of four epochs."""
    folder = tmp_path_factory.mktemp("interrupted")
    run(folder)
    (folder / "epoch_4.pth").unlink()
    return folder


def test_resumed_run_with_more_epochs_has_their_rates_and_says_so(interrupted, tmp_path, capsys):
    run(tmp_path / "straight", epochs=8)
    capsys.readouterr()
    run(tmp_path / "resumed", epochs=8, resume=interrupted / "epoch_3.pth")
    out = " ".join(capsys.readouterr().out.split())
    assert "8 epochs instead of 4, in the same shape" in out
    assert "This run ends after epoch 8, and was to end after 4" in out
    assert "the config's are followed" in out
    found, expected = (load(tmp_path / f"{name}/epoch_8.pth") for name in ("resumed", "straight"))
    assert find_different(found["param_schedulers"], expected["param_schedulers"], "schedule") == []


def test_resumed_run_beyond_its_last_epoch_is_refused(interrupted, tmp_path):
    with pytest.raises(ConfigError, match=r"epoch_3\.pth has 3 finished epochs, and training is to end after 2"):
        run(tmp_path, describe(), epochs=2, resume=interrupted / "epoch_3.pth")
