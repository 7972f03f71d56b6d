"""``--freeze``: frozen weights and statistics stay as they are to the last bit, the rest learns, and runs resume."""

import copy
import sys

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import nn

from rtmo_plugin.api import train
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.edits import freeze_in_training
from rtmo_plugin.engine import training_loop
from rtmo_plugin.engine.hooks.freezing import FREEZE_HOOK, FreezeHook, find_frozen_parts, freeze_parts
from rtmo_plugin.engine.moving_average import ForeachEMA
from rtmo_plugin.errors import CheckpointError, ConfigError
from rtmo_plugin.registry import MODELS
from tests.edited import edit_copy
from tests.engine.test_distribution import start
from tests.engine.test_resume import find_different
from tests.faults.toy_training import describe, load, run

EMA = {"type": "EMAHook", "ema_type": "rtmo_plugin.ForeachEMA", "momentum": 0.1, "gamma": 5, "update_buffers": True}


@MODELS.register_module()
class ToyParts(BaseModel):
    """A backbone and a neck with batch norm, and a head."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8))
        self.neck = nn.ModuleDict({"encoder": nn.Linear(8, 8), "norm": nn.BatchNorm1d(8)})
        self.head = nn.Linear(8, 1)

    def forward(self, number, mode="tensor"):
        value = torch.stack(list(number)).view(-1, 1)
        features = self.neck["norm"](self.neck["encoder"](self.backbone(value)))
        return {"loss": ((self.head(features) - 3) ** 2).mean()}


def describe_parts(**changes):
    cfg = describe(model={"type": "rtmo_plugin.ToyParts"}, **changes)
    cfg.custom_hooks = [EMA, *cfg.custom_hooks[1:], {"type": "SyncBuffersHook", "priority": 48}]
    cfg.optim_wrapper.constructor = "rtmo_plugin.MergingOptimWrapperConstructor"
    cfg.optim_wrapper.optimizer.weight_decay = 0.01
    cfg.optim_wrapper.paramwise_cfg = {"norm_decay_mult": 0}
    return cfg


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the last checkpoint of a run that trained everything."""
    return run(tmp_path_factory.mktemp("trained"), describe_parts(), validate=False).checkpoint


def run_frozen(folder, trained, cfg=None, **options):
    start = {} if options.get("resume") else {"load_from": trained}
    return run(folder, cfg or describe_parts(), validate=False, **{"freeze": "backbone,neck", **start, **options})


def find_changed(found, before):
    """Return the names of the values that differ from those of a state dict."""
    return {name for name, value in before.items() if not torch.equal(found[name], value)}


def test_frozen_weights_and_statistics_stay_and_the_rest_learns(tmp_path, trained, capsys):
    before = load(trained)["state_dict"]
    found = load(run_frozen(tmp_path, trained, total_batch=4).checkpoint)  # of two batches each
    average = {name.removeprefix("module."): value for name, value in found["ema_state_dict"].items() if "." in name}
    assert find_changed(found["state_dict"], before) == {"head.weight", "head.bias"}
    assert find_changed(average, before) == {"head.weight", "head.bias"}
    assert find_changed(found["state_dict"], average) == {"head.weight", "head.bias"}
    assert len(found["optimizer"]["param_groups"]) == len(found["optimizer"]["state"]) == 2
    assert found["meta"]["frozen"] == ["backbone", "neck"]
    assert "frozen: backbone, neck (120 of 129 weights)" in capsys.readouterr().out


def test_a_part_of_a_part_can_be_frozen(tmp_path, trained):
    before = load(trained)["state_dict"]
    found = load(run_frozen(tmp_path, trained, freeze=["neck.encoder"]).checkpoint)["state_dict"]
    assert set(before) - find_changed(found, before) == {"neck.encoder.weight", "neck.encoder.bias"}


def test_a_resumed_run_ends_as_the_unbroken_one(tmp_path, trained):
    straight = load(run_frozen(tmp_path / "straight", trained).checkpoint)
    run_frozen(tmp_path / "run", trained, cfg_options={"train_cfg.max_epochs": 2})
    resumed = load(run_frozen(tmp_path / "run", trained, resume=True).checkpoint)
    assert resumed["meta"]["epoch"] == 4
    for part in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        assert find_different(resumed[part], straight[part], part) == []


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ("neck,backbone", None, "was trained with neck, backbone frozen, and this run is to continue it with nothing "
         "frozen: give --freeze neck,backbone, or start from its weights with --load-from"),
        (None, "backbone", "trained with nothing frozen, and this run is to continue it with backbone frozen: leave "
         "out --freeze, or start from its weights with --load-from"),
    ],
)  # fmt: skip
def test_a_run_resumes_with_the_same_parts_only(tmp_path, trained, first, then, message):
    run_frozen(tmp_path, trained, freeze=first, cfg_options={"train_cfg.max_epochs": 1})
    with pytest.raises(CheckpointError, match=message):
        run_frozen(tmp_path, trained, resume=True, freeze=then)


def test_a_frozen_run_is_a_start_for_any_other(tmp_path, trained):
    """Its checkpoint has every weight; the config beside it freezes the same parts, unless the command names others."""
    first = run_frozen(tmp_path / "first", trained, cfg_options={"train_cfg.max_epochs": 1})
    cfg = describe_parts(max_epochs=1)
    freeze_in_training(cfg, "backbone,neck")
    found = load(run(tmp_path / "then", cfg, validate=False, load_from=first.checkpoint, freeze="head").checkpoint)
    assert "head.weight" not in find_changed(found["state_dict"], load(first.checkpoint)["state_dict"])
    assert found["meta"]["frozen"] == ["head"]
    found = load(
        run(tmp_path / "all", describe_parts(max_epochs=1), validate=False, load_from=first.checkpoint).checkpoint
    )
    assert "backbone.0.weight" in find_changed(found["state_dict"], load(first.checkpoint)["state_dict"])


def test_random_weights_are_not_frozen_without_a_word(tmp_path, capsys):
    run(tmp_path, describe_parts(max_epochs=1), validate=False, freeze="neck,backbone")
    warning = "warning: neck and backbone are frozen with random weights: start from a checkpoint with --load-from"
    assert warning in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("bakbone", "--freeze: the model has no part 'bakbone' with weights: choose among backbone, neck, head."),
        ("neck.encodr", "has no part 'neck.encodr' with weights: choose among neck.encoder, neck.norm."),
        ("data_preprocessor", "has no part 'data_preprocessor' with weights"),
        ("head.weight", "has no part 'head.weight' with weights: choose among head."),
        ("backbone,neck,head", "--freeze backbone,neck,head leaves nothing to train: name fewer parts."),
        ("backbone,", "--freeze takes names of parts with commas between them, such as backbone,neck."),
        ("", "--freeze takes names of parts"),
    ],
)
def test_names_that_cannot_be_frozen_are_refused(tmp_path, names, message):
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, describe_parts(), validate=False, freeze=names)
    assert not list(tmp_path.glob("*.pth"))


def test_command_replaces_the_parts_of_the_config():
    cfg = edit_copy(freeze_in_training, describe_parts(), "backbone")
    assert find_frozen_parts(cfg) == ("backbone",)
    assert find_frozen_parts(edit_copy(freeze_in_training, cfg, None)) == ("backbone",)
    assert find_frozen_parts(edit_copy(freeze_in_training, cfg, ["neck", "neck"])) == ("neck",)
    assert sum(hook["type"] == FREEZE_HOOK for hook in cfg.custom_hooks) == 1


def test_average_does_not_round_frozen_values():
    model = ToyParts()
    freeze_parts(model, ["backbone"])
    average = ForeachEMA(model, momentum=0.1, gamma=5, update_buffers=True)
    before = copy.deepcopy(model.backbone.state_dict())
    model.train()
    model.backbone.eval()
    for _ in range(50):
        average.update_parameters(model)
    assert not find_changed(average.module.backbone.state_dict(), before)


def test_statistics_that_processes_average_are_not_rounded(tmp_path):
    """A mean of three equal numbers need not be that number."""
    model, hook = ToyParts(), FreezeHook(["backbone"])

    class Run:
        pass

    Run.model = model
    hook.before_train(Run)
    model.backbone[1].running_mean += 1e-9
    hook.after_train_epoch(Run)
    assert torch.equal(model.backbone[1].running_mean, torch.zeros(8))


def train_rank(rank, folder, checkpoint):
    sys.stdout = sys.stderr = (folder / f"console_{rank}.txt").open("w", buffering=1)
    run(folder, describe_parts(), validate=False, load_from=checkpoint, freeze="backbone,neck", launcher="pytorch")


def test_two_processes_freeze_the_same(tmp_path, trained):
    codes = start(train_rank, tmp_path, trained)
    assert codes == [0, 0], [(tmp_path / f"console_{rank}.txt").read_text() for rank in range(2)]
    found, before = load(tmp_path / "epoch_4.pth")["state_dict"], load(trained)["state_dict"]
    assert find_changed(found, before) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("is_compiled", [False, pytest.param(True, marks=pytest.mark.slow)])  # which takes a minute
def test_backbone_of_rtmo_stays_and_its_head_learns(config, data_root, tmp_path, monkeypatch, is_compiled):
    monkeypatch.setattr(training_loop, "CurvesHook", Hook)
    cfg = load_config(config)
    if is_compiled:  # as for a compiler, and then run as it is
        cfg.custom_hooks = [*cfg.custom_hooks, {"type": "rtmo_plugin.CompileHook", "backend": "eager"}]
    options = {"data_root": data_root, "validate": False, "seed": 0, "freeze": "backbone", "work_dir": tmp_path}
    result = train(cfg, cfg_options={"train_cfg.max_epochs": 2}, **options)
    first, then = (load(tmp_path / f"epoch_{epoch}.pth") for epoch in (1, 2))
    changed = find_changed(then["state_dict"], first["state_dict"])
    assert not [name for name in changed if name.startswith("backbone.")]
    assert {name.partition(".")[0] for name in changed} == {"neck", "head"}
    assert result.frozen == ("backbone",)
    assert "frozen:         backbone" in str(result)
