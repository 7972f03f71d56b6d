"""The stage hook in real runs of MMEngine's Runner, with a model of one number."""

import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.hooks import Hook
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.runner import Runner
from mmpose.engine.hooks import RTMOModeSwitchHook
from torch import distributed, nn
from torch.utils.data import DataLoader, Dataset

from rtmo_plugin.errors import ConfigError, UnknownKeyError
from rtmo_plugin.registry import DATASETS, TRANSFORMS

STAGES = {"warmup": {"begin": 0}, "refine": {"begin": 2}, "finish": {"begin": 4}}


@TRANSFORMS.register_module()
class AddToNumber:
    def __init__(self, amount):
        self.amount = amount

    def __call__(self, sample):
        return {"number": sample["number"] + self.amount}


@DATASETS.register_module()
class Numbers(Dataset):
    num_built = 0

    def __init__(self, length=4, pipeline=()):
        type(self).num_built += 1
        self.length, self.pipeline = length, Compose(pipeline)

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.pipeline({"number": torch.tensor(float(index))})


class StagedHead(nn.Module):
    stage = None
    marker = "not set"  # for MMPose's hook

    def enter_stage(self, name):
        if name not in STAGES:
            raise KeyError(f"Unknown training stage {name!r}: name one of {', '.join(STAGES)}.")
        self.stage = name


class StagedModel(BaseModel):
    """Remembers in which stage it saw which numbers."""

    def __init__(self):
        super().__init__()
        self.head, self.weight, self.seen = StagedHead(), nn.Parameter(torch.ones(1)), []

    def forward(self, number, mode="tensor"):
        self.seen.append((self.head.stage, [int(n) for n in number]))
        return {"loss": (self.weight * torch.stack(number)).sum()}


def add(amount):
    return [{"type": "rtmo_plugin.AddToNumber", "amount": amount}]


def run(work_dir, schedule, model=None, resume=None, **objects):
    """Train for six epochs, or from a checkpoint to the sixth, and return the model."""
    config = {
        "train_dataloader": {
            "batch_size": 2,
            "num_workers": 0,
            "sampler": {"type": "DefaultSampler", "shuffle": True},
            "dataset": {"type": "rtmo_plugin.Numbers", "pipeline": add(0)},
        },
        "train_cfg": {"by_epoch": True, "max_epochs": 6},
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.0}},
        "custom_hooks": [{"type": "rtmo_plugin.TrainingStageHook", "schedule": schedule}],
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": 1}},
        "randomness": {"seed": 5},
        "default_scope": "mmpose",
        "work_dir": str(work_dir),
        "experiment_name": f"{work_dir}-{resume}",
        "load_from": str(resume) if resume else None,
        "resume": bool(resume),
    }
    described = Config({name: value for name, value in config.items() if name not in objects})
    model = model or StagedModel()
    Runner(model=model, cfg=described, **{**config, **objects}).train()
    return model


def test_epochs_are_trained_in_their_stage(tmp_path):
    seen = run(tmp_path, STAGES).seen
    assert [stage for stage, _ in seen] == ["warmup"] * 4 + ["refine"] * 4 + ["finish"] * 4


DATA_STAGES = {
    "warmup": {"begin": 0},
    "refine": {"begin": 2, "pipeline": add(10)},
    "finish": {"begin": 4, "dataset": {"type": "rtmo_plugin.Numbers", "length": 6}, "pipeline": add(20)},
}


def test_data_change_with_the_stage(tmp_path):
    seen = run(tmp_path, DATA_STAGES).seen
    numbers = {stage: sorted({n for s, batch in seen for n in batch if s == stage}) for stage in STAGES}
    assert numbers == {"warmup": [0, 1, 2, 3], "refine": [10, 11, 12, 13], "finish": [20, 21, 22, 23, 24, 25]}
    assert len(seen) == 2 * (2 + 2 + 3)


def test_data_are_loaded_again_only_where_they_differ(tmp_path):
    before = Numbers.num_built
    run(tmp_path, {"warmup": {"begin": 0, "pipeline": add(1)}, "refine": {"begin": 2, "pipeline": add(1)}})
    assert Numbers.num_built - before == 2  # the run's own dataset, and that of both stages


@pytest.mark.parametrize("schedule", [STAGES, DATA_STAGES], ids=["same data", "other data"])
def test_defect_07_resumed_run_is_in_the_stage_of_its_epoch(tmp_path, schedule):
    straight = run(tmp_path / "straight", schedule).seen
    for epoch in range(1, 6):
        resumed = run(tmp_path / str(epoch), schedule, resume=tmp_path / "straight" / f"epoch_{epoch}.pth").seen
        assert resumed == straight[-len(resumed) :]
        assert len(resumed) >= 2 * (6 - epoch)


def test_defect_07_is_a_defect_of_mmpose(tmp_path):
    """Its hook acts on the exact epoch: a run resumed after it never switches."""
    run(tmp_path, STAGES)
    hooks = [RTMOModeSwitchHook(epoch_attributes={2: {"marker": "set"}})]
    straight = run(tmp_path / "straight", STAGES, custom_hooks=hooks)
    resumed = run(tmp_path / "resumed", STAGES, custom_hooks=hooks, resume=tmp_path / "epoch_3.pth")
    assert (straight.head.marker, resumed.head.marker) == ("set", "not set")


def test_stage_is_there_before_the_first_epoch(tmp_path):
    class Look(Hook):
        def before_train(self, runner):
            self.found = runner.model.head.stage, len(runner.train_dataloader.dataset)

    run(tmp_path, DATA_STAGES)
    look = Look()
    hooks = [{"type": "rtmo_plugin.TrainingStageHook", "schedule": DATA_STAGES}, look]
    run(tmp_path / "resumed", DATA_STAGES, custom_hooks=hooks, resume=tmp_path / "epoch_5.pth")
    assert look.found == ("finish", 6)


def test_config_of_the_run_is_not_changed(tmp_path):
    class Look(Hook):
        def after_train(self, runner):
            self.dataset = runner.cfg.train_dataloader.dataset

    look = Look()
    hooks = [{"type": "rtmo_plugin.TrainingStageHook", "schedule": DATA_STAGES}, look]
    run(tmp_path, DATA_STAGES, custom_hooks=hooks)
    assert look.dataset == {"type": "rtmo_plugin.Numbers", "pipeline": add(0)}


def test_model_in_a_distributed_wrapper(tmp_path):
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = run(tmp_path, STAGES, model=MMDistributedDataParallel(StagedModel())).module
    finally:
        distributed.destroy_process_group()
    assert [stage for stage, _ in model.seen[::2]] == ["warmup"] * 2 + ["refine"] * 2 + ["finish"] * 2


def test_stage_beyond_the_end_is_reported(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        run(tmp_path, {"warmup": {"begin": 0}, "refine": {"begin": 6}})
    log = next(tmp_path.rglob("*.log")).read_text()
    assert "'refine' begins at epoch 6, but training ends after 6 epochs" in log


@pytest.mark.parametrize(
    ("schedule", "objects", "error", "message"),
    [
        ({"warmup": {"begin": 0}, "refined": {"begin": 5}}, {}, UnknownKeyError, "'refined': name one of warmup"),
        ({"warmup": {"begin": 1}}, {}, ConfigError, "must begin at epoch 0"),
        (
            STAGES,
            {"train_cfg": {"by_epoch": False, "max_iters": 4}},
            ConfigError,
            "needs train_cfg.by_epoch=True",
        ),
        (DATA_STAGES, {"train_dataloader": DataLoader(Numbers())}, ConfigError, "train_dataloader given as config"),
        (
            {"warmup": {"begin": 0}, "finish": {"begin": 5, "pipeline": [{"type": "rtmo_plugin.AddToNumbr"}]}},
            {},
            KeyError,
            "AddToNumbr",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_training(tmp_path, schedule, objects, error, message):
    model = StagedModel()
    with pytest.raises(error, match=message):
        run(tmp_path, schedule, model=model, **objects)
    assert model.seen == []


def test_head_without_stages_is_refused(tmp_path):
    model = StagedModel()
    model.head = nn.Identity()
    with pytest.raises(ConfigError, match="StagedModel with head Identity"):
        run(tmp_path, STAGES, model=model)
