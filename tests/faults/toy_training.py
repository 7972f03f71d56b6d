"""Training runs of a moment: a line is fitted to numbers, by the functions that train RTMO."""

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from torch import nn
from torch.utils.data import Dataset

from rtmo_plugin.api import train
from rtmo_plugin.engine import training_loop
from rtmo_plugin.keypoints.metainfo import make_coco_metainfo
from rtmo_plugin.registry import DATASETS, HOOKS, METRICS, MODELS


@MODELS.register_module()
class ToyLine(BaseModel):
    """Two numbers and a little noise, so that a resumed run shows what it forgot."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, number, mode="tensor"):
        value = torch.stack(list(number)).flatten()
        if mode == "predict":
            return [{"value": float(self.weight[0].detach())} for _ in value]
        return {"loss": ((self.weight[0] * value + self.weight[1] - 3) ** 2).mean()}


@DATASETS.register_module()
class ToyNumbers(Dataset):
    """Numbers with noise from the generator that is seeded for each sample."""

    metainfo = parse_pose_metainfo(make_coco_metainfo("toy"))

    def __init__(self, length=8):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return {"number": torch.tensor([index + torch.rand(()).item()])}


@METRICS.register_module()
class ToyMetric(BaseMetric):
    """The first weight, as if it were an AP."""

    default_prefix = "toy"

    def process(self, data_batch, data_samples):
        self.results.extend(each["value"] for each in data_samples)

    def compute_metrics(self, results):
        return {"AP": results[0]}


@HOOKS.register_module()
class DoAtStep(Hook):
    """Calls ``action(runner)`` after a step, counted from 1 over the whole run."""

    action = None

    def __init__(self, step):
        self.step = step

    def after_train_iter(self, runner, *_, **__):
        if runner.iter + 1 == self.step and DoAtStep.action is not None:
            DoAtStep.action(runner)


def describe(max_epochs=4, batch_size=2, length=8, **changes):
    """Return the config of a run of four steps an epoch, validated after each second epoch."""
    loader = {"num_workers": 0, "dataset": {"type": "rtmo_plugin.ToyNumbers", "length": length}}
    values = {
        "model": {"type": "rtmo_plugin.ToyLine"},
        "train_dataloader": {
            **loader,
            "batch_size": batch_size,
            "sampler": {"type": "DefaultSampler", "shuffle": True},
        },
        "val_dataloader": {**loader, "batch_size": 4, "sampler": {"type": "DefaultSampler", "shuffle": False}},
        "val_evaluator": {"type": "rtmo_plugin.ToyMetric"},
        "val_cfg": {},
        "train_cfg": {"by_epoch": True, "max_epochs": max_epochs, "val_interval": 2},
        "optim_wrapper": {"optimizer": {"type": "AdamW", "lr": 0.1}},
        "auto_scale_lr": {"base_batch_size": 8},
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.5, "by_epoch": True, "begin": 0, "end": 1,
             "convert_to_iter_based": True},
            {"type": "CosineAnnealingLR", "T_max": 3, "by_epoch": True, "begin": 1, "end": 4,
             "convert_to_iter_based": True},
        ],
        "custom_hooks": [
            {"type": "EMAHook", "ema_type": "ExpMomentumEMA", "momentum": 0.1, "gamma": 5},
            {"type": "rtmo_plugin.RandomnessHook"},
            {"type": "rtmo_plugin.ResumePointHook", "minutes": 10},
        ],
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": 1}},
        "default_scope": "mmpose",
        "log_level": "INFO",
    }  # fmt: skip
    return Config({**values, **changes}, format_python_code=False)


def run(work_dir, cfg=None, **options):
    """Train in ``work_dir``, without plots."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CurvesHook", "FirstBatchHook"):
            patch.setattr(training_loop, name, Hook)
        return train(cfg or describe(), work_dir=work_dir, **{"seed": 3, **options})


def load(path):
    return torch.load(path, weights_only=True)


def read_rate(path):
    """Return the learning rate in a checkpoint's optimizer."""
    return load(path)["optimizer"]["param_groups"][0]["lr"]
