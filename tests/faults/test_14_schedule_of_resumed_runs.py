"""A resumed run has the learning rate of its config, and says where the two disagree."""

import os
import signal

import pytest
import torch
from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch import nn

from rtmo_plugin.engine.resumed_schedule import PlannedSchedule
from rtmo_plugin.errors import CheckpointError, InterruptedRun
from tests.engine.test_resume import find_different
from tests.faults.toy_training import DoAtStep, describe, load, read_rate, run


def make_schedule(kind, end=6, **options):
    return [{"type": kind, "by_epoch": True, "begin": 0, "end": end, "convert_to_iter_based": True, **options}]


OTHERS = {
    "longer": [
        {
            "type": "LinearLR",
            "start_factor": 0.5,
            "by_epoch": True,
            "begin": 0,
            "end": 1,
            "convert_to_iter_based": True,
        },
        {
            "type": "CosineAnnealingLR",
            "T_max": 5,
            "by_epoch": True,
            "begin": 1,
            "end": 6,
            "convert_to_iter_based": True,
        },
    ],
    "other kind": make_schedule("PolyLR", power=2.0),
    "one": make_schedule("ConstantLR", factor=0.5),
    "by epoch": [{"type": "StepLR", "step_size": 1, "gamma": 0.5, "by_epoch": True}],
    "both": [
        {"type": "StepLR", "step_size": 1, "gamma": 0.5, "by_epoch": True},
        *make_schedule("LinearLR", start_factor=0.1),
    ],
    "none": [],
}


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """Return the folder of a run of three of four epochs."""
    folder = tmp_path_factory.mktemp("interrupted")
    run(folder)
    (folder / "epoch_4.pth").unlink()
    return folder


@pytest.mark.parametrize("name", OTHERS)
def test_changed_schedule_is_that_of_a_run_which_always_had_it(interrupted, tmp_path, capsys, name):
    cfg = describe(max_epochs=6, param_scheduler=OTHERS[name])
    run(tmp_path / "straight", cfg)
    capsys.readouterr()
    run(tmp_path / "resumed", cfg, resume=interrupted / "epoch_3.pth")
    assert "the config's are followed" in " ".join(capsys.readouterr().out.split())
    for epoch in (4, 6):
        found, expected = (load(tmp_path / f"{each}/epoch_{epoch}.pth") for each in ("resumed", "straight"))
        assert find_different(found["param_schedulers"], expected["param_schedulers"], "schedule") == []
        assert find_different(found["optimizer"]["param_groups"], expected["optimizer"]["param_groups"], "groups") == []


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({"cfg_options": {"optim_wrapper.optimizer.lr": 0.02}}, "0.005"),
        ({"cfg_options": {"optim_wrapper.optimizer.weight_decay": 0.3}}, "0.025"),
        ({"auto_scale_lr": True}, "0.00625"),  # two images for eight
        ({"epochs": 5}, "0.05"),
    ],
)
def test_changed_option_takes_effect_and_is_said(interrupted, tmp_path, capsys, options, rate):
    run(tmp_path / "straight", **options)
    capsys.readouterr()
    run(tmp_path / "resumed", resume=interrupted / "epoch_3.pth", **options)
    out = " ".join(capsys.readouterr().out.split())
    assert "the config's are followed" in out
    assert f"the learning rate is {rate} (checkpoint: 0.025)" in out
    last = f"epoch_{options.get('epochs', 4)}.pth"
    found, expected = (load(tmp_path / each / last)["optimizer"]["param_groups"] for each in ("resumed", "straight"))
    assert find_different(found, expected, "groups") == []


def test_changed_batch_size_takes_effect_and_is_said(interrupted, tmp_path, capsys):
    run(tmp_path / "straight", batch_size=4)
    capsys.readouterr()
    run(tmp_path / "resumed", batch_size=4, resume=interrupted / "epoch_3.pth")
    out = " ".join(capsys.readouterr().out.split())
    assert "An epoch has 2 steps, and had 4: epoch 4 begins at step 6." in out
    assert "A step has 4 images, and had 2 before this run was resumed." in out
    found, expected = (load(tmp_path / each / "epoch_4.pth") for each in ("resumed", "straight"))
    assert found["meta"]["iter"] == expected["meta"]["iter"] == 8
    assert find_different(found["optimizer"]["param_groups"], expected["optimizer"]["param_groups"], "groups") == []


def test_schedule_by_metrics_cannot_be_continued(interrupted, tmp_path):
    cfg = describe(param_scheduler=[{"type": "ReduceOnPlateauLR", "monitor": "toy/AP"}])
    with pytest.raises(CheckpointError, match=r"follows the metrics cannot be continued: .*--load-from"):
        run(tmp_path, cfg, resume=interrupted / "epoch_3.pth")


def test_epochs_beyond_the_schedule_are_reported(interrupted, tmp_path, capsys):
    run(tmp_path / "new", describe(max_epochs=5))
    assert "The schedule ends after epoch 4, and training after epoch 5" in " ".join(capsys.readouterr().out.split())
    run(tmp_path / "resumed", describe(max_epochs=5), resume=interrupted / "epoch_3.pth")
    out = " ".join(capsys.readouterr().out.split())
    assert "The schedule ends after epoch 4, and training after epoch 5" in out
    assert "are followed" not in out  # the schedule itself is the same
    rates = {read_rate(tmp_path / f"{name}/epoch_5.pth") for name in ("new", "resumed")}
    assert len(rates) == 1


def test_epochs_within_the_schedule_need_no_word(tmp_path, capsys):
    run(tmp_path)
    assert "The schedule ends" not in capsys.readouterr().out


def test_finished_run_reports_that_nothing_is_left(interrupted, tmp_path, capsys):
    run(tmp_path, describe(max_epochs=3), resume=interrupted / "epoch_3.pth")
    assert "Nothing is left to train: 3 epochs are done, and train_cfg.max_epochs is 3." in capsys.readouterr().out


def build(rate):
    groups = [{"params": [nn.Parameter(torch.ones(1))], "lr": rate * factor} for factor in (1.0, 1.0, 0.1)]
    wrapper = OptimWrapper(torch.optim.AdamW(groups, lr=rate))
    return wrapper, [LinearLR(wrapper, start_factor=0.1, end=5, by_epoch=False),
                     CosineAnnealingLR(wrapper, T_max=20, begin=5, end=25, by_epoch=False)]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Detected call of `scheduler")
def test_several_groups_have_their_rates():
    expected, schedulers = build(0.5)
    for _ in range(12):
        for scheduler in schedulers:
            scheduler.step()
    wrapper, found = build(0.5)
    planned = PlannedSchedule(wrapper, found)
    assert not planned.differs(2)
    other, others = build(0.1)
    wrapper.load_state_dict(other.state_dict())
    for scheduler, state in zip(found, others):
        scheduler.load_state_dict(state.state_dict())
    assert planned.differs(2)
    planned.apply(epoch=3, iteration=12)
    assert not planned.differs(2)
    assert planned.differs(1)
    assert [g["lr"] for g in wrapper.param_groups] == [g["lr"] for g in expected.param_groups]
    assert [s._last_value for s in found] == [s._last_value for s in schedulers]


def test_epoch_that_begins_again_begins_with_its_learning_rate(tmp_path, monkeypatch, capsys):
    cfg = describe(max_epochs=2)
    cfg.custom_hooks = [*cfg.custom_hooks, {"type": "rtmo_plugin.DoAtStep", "step": 6}]
    monkeypatch.setattr(DoAtStep, "action", lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(InterruptedRun):
        run(tmp_path / "resumed", cfg)
    monkeypatch.setattr(DoAtStep, "action", None)
    run(tmp_path / "resumed", cfg, total_batch=4, resume=True)
    out = " ".join(capsys.readouterr().out.split())
    assert "A step has 4 images, and had 2 before this run was resumed. Epoch 2 begins again." in out
    assert "the config's are followed" not in out
    run(tmp_path / "straight", cfg, total_batch=4)
    found, expected = (load(tmp_path / f"{each}/epoch_2.pth") for each in ("resumed", "straight"))
    assert find_different(found["param_schedulers"], expected["param_schedulers"], "schedule") == []
