"""Number of training images of each run of a study, from a budget in minutes and measured costs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.speed.rounds import time_alternately
from studies.definitions import Study

AMP_WRAPPER = "rtmo_plugin.AutocastOptimWrapper"
_STEPS = 3  # the first one is not counted
_RUN_SECONDS = 20.0  # per run, to build datasets and models and to save
_OVERHEAD = 1.2  # cost of averages, logs and checkpoints, relative to a step
_TEST_COST = 0.5  # testing on an image, relative to training on it


def choose_num_images(costs: Mapping[str, float], *, seconds: float, seeds: int, epochs: int, num_tests: int) -> int:
    """Return the number of training images per epoch with which all runs fit the budget.

    Args:
        costs: Seconds per training image, by variant.
        seconds: Seconds of the whole study.
        seeds: Number of runs of each variant.
        epochs: Number of epochs of a run.
        num_tests: Number of test images after a run.

    Returns:
        The same number for all variants, at least 1.

    Examples:
        >>> choose_num_images({"a": 0.1, "b": 0.3}, seconds=1000, seeds=2, epochs=4, num_tests=100)
        275
    """
    fixed = sum(_RUN_SECONDS + num_tests * _TEST_COST * cost for cost in costs.values())
    return max(1, int((seconds / seeds - fixed) / (epochs * sum(costs.values()))))


def count_images(dataset: Mapping[str, Any]) -> int:
    """Return the number of images of a data set in a config, without opening them."""
    init_default_scope("mmpose")
    return len(DATASETS.build({**dataset, "pipeline": []}))


def limit_images(cfg: Config, num_images: int) -> Config:
    """Return a config that trains on the first ``num_images`` images.

    Raises:
        ConfigError: Its dataset has no option for that.
    """
    changed: Config = Config(cfg._cfg_dict.to_dict(), filename=cfg.filename)
    dataset = changed.train_dataloader.dataset
    if dataset.type == "rtmo_plugin.SyntheticPeople":
        dataset.num_images = num_images
    elif "ann_file" in dataset:
        dataset.indices = num_images
    else:
        raise ConfigError(f"tools/ablate.py cannot take a part of the training data of type {dataset.type}.")
    return changed


def time_training(cfgs: Mapping[str, Config], study: Study) -> dict[str, float]:
    """Return the seconds per training image of each variant: data, forward, backward, step.

    All variants see the same batch. The fastest step counts, which other programs disturb least.
    """
    first = next(iter(cfgs.values()))
    size = first.train_dataloader.batch_size
    init_default_scope("mmpose")
    dataset = DATASETS.build(limit_images(first, size).train_dataloader.dataset)
    started = time.perf_counter()
    batch = pseudo_collate([dataset[index % len(dataset)] for index in range(size)])
    workers = max(1, first.train_dataloader.num_workers)
    preparing = (time.perf_counter() - started) / workers
    steps = {variant.name: _time_step(cfgs[variant.name], batch) for variant in study.variants}
    return {name: (preparing + _OVERHEAD * seconds) / size for name, seconds in steps.items()}


def _time_step(cfg: Config, batch: Mapping[str, Any]) -> float:
    """Return the seconds of one training step."""
    model = MODELS.build(cfg.model).to(get_device(), memory_format=torch.channels_last).train()
    plain = {name: value for name, value in cfg.optim_wrapper.items() if name in ("optimizer", "clip_grad")}
    wrapper = build_optim_wrapper(model, {**plain, "type": AMP_WRAPPER})

    def step() -> None:
        losses = model.train_step(dict(batch), wrapper)
        losses["loss"].item()  # waits for the device

    (timing,), _ = time_alternately({"step": step}, _STEPS)
    return min(timing.seconds[1:])
