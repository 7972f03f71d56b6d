"""Time of a training step of RTMO-s, from a batch of images to new weights and their average, beside MMPose."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

from benchmarks.official import load_official_recipe
from benchmarks.operator_counts import count_operators
from benchmarks.timing_report import compare_timings
from benchmarks.training_samples import build_dataset, draw_coco_folder, load_ours
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.engine.hooks.compilation import compile_network
from rtmo_plugin.engine.hooks.network_graphs import GraphsHook
from rtmo_plugin.engine.hooks.no_wait import NoWaitHook
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.speed.machine import read_peak_memory
from rtmo_plugin.speed.rounds import time_alternately
from rtmo_plugin.speed.speed_report import SpeedReport

_AMP_WRAPPER = "rtmo_plugin.AutocastOptimWrapper"
_NUM_STEPS_FOR_MEMORY = 3

Batch = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """Model (ours or MMPose's), precision, and how its network runs.

    Attributes:
        is_ours: Whether the model is ours.
        amp: Whether it is trained in mixed precision.
        compiled: Whether its network is compiled; on GPUs losses are read one step late, as with ``--compile``.
        graphs: Whether its network runs as CUDA graphs, and losses are read one step late.
        recipe: Size of the model.
        data: Data of the recipe.
    """

    is_ours: bool
    amp: bool
    compiled: bool = False
    graphs: bool = False
    recipe: str = "rtmo-s"
    data: str = "coco"


SIDES = {
    "MMPose, fp32": Side(is_ours=False, amp=False),
    "rtmo_plugin, fp32": Side(is_ours=True, amp=False),
    "rtmo_plugin, --amp": Side(is_ours=True, amp=True),
}
COMPILED_SIDES = {f"{name} --compile": replace(side, compiled=True) for name, side in SIDES.items() if side.is_ours}


def run(
    *,
    data_root: str | Path | None = None,
    batch_size: int = 8,
    rounds: int = 5,
    memory: bool = True,
    compiled: bool = False,
) -> SpeedReport:
    """Train MMPose's RTMO-s and ours from the same weights on the same batch, a step each in turn.

    Multi-scale training is off.  A step is everything from uint8 images on: normalization, forward,
    assignment, losses, backward, clipping, AdamW and the moving average of the weights.  The first
    step of each side is not measured.

    Args:
        data_root: Folder with ``coco/``; None for synthetic images.
        batch_size: Images in a step.
        rounds: Measured steps of each side.
        memory: Measure the peak memory of each side in a process of its own as well.
        compiled: Measure ours compiled as well: worth a look on GPUs; on CPUs it takes minutes and is slower.

    Raises:
        UserError: A number is not positive, or data are missing.
    """
    if min(batch_size, rounds) < 1:
        raise ConfigError("train: --batch-size and --rounds must be at least 1.")
    sides = {**SIDES, **COMPILED_SIDES} if compiled else SIDES
    with contextlib.ExitStack() as stack:
        folder = data_root or stack.enter_context(draw_coco_folder(4 * batch_size))
        peaks = {name: measure_memory(side, folder, batch_size) for name, side in sides.items()} if memory else {}
        batch = make_batch(folder, batch_size)
    weights = build_model(SIDES["MMPose, fp32"]).state_dict()
    steps = {name: TrainingStep(side, batch, weights) for name, side in sides.items()}
    first = {name: step() for name, step in steps.items()}
    timings, _ = time_alternately(steps, rounds)
    operators = {name: count_operators(step) for name, step in steps.items() if not sides[name].compiled}
    dtype = next(dtype for step in steps.values() if (dtype := getattr(step.wrapper, "dtype", None)))
    return compare_timings(
        timings,
        title=f"Training step of RTMO-s, {batch_size} images of 640 x 640, {get_device()}",
        command=f"train --batch-size {batch_size} --rounds {rounds}"
        + ("" if data_root is None else f" --data-root {data_root}")
        + ("" if memory else " --no-memory")
        + (" --compile" if compiled else ""),
        settings={"batch_size": batch_size, "size": 640, "multi_scale": False, "amp dtype": str(dtype)},
        results={
            "threads": torch.get_num_threads(),
            "tensor operators per step": {name: counts.total() for name, counts in operators.items()},
            "images per second": {each.name: round(batch_size / each.median, 2) for each in timings},
            "loss of the first step": {name: round(loss, 4) for name, loss in first.items()},
            "peak memory (MiB)": peaks,
        },
    )


def make_batch(data_root: str | Path, batch_size: int, data: str = "coco") -> Batch:
    """Return a batch of stage-1 samples of a recipe's data, the same each time."""
    dataset = build_dataset(load_ours(data_root, f"rtmo-s_{data}"))
    np.random.seed(0)  # noqa: NPY002  (the generator that transforms draw from)
    batch: Batch = pseudo_collate([dataset[index % len(dataset)] for index in range(batch_size)])
    return batch


class TrainingStep:
    """A model with its optimizer, its moving average and one batch; a call trains one step.

    Args:
        side: Model, precision and compilation.
        batch: Batch of the data loader.
        weights: Initial weights. Default: random ones.
    """

    def __init__(self, side: Side, batch: Batch, weights: dict[str, Tensor] | None = None) -> None:
        self.model = build_model(side)
        if weights:
            self.model.load_state_dict(weights, strict=False)
        self.model.to(get_device()).train()
        if side.is_ours:  # as ChannelsLastHook
            self.model.to(memory_format=torch.channels_last)
        cfg = _load_config(side)
        amp = {"type": _AMP_WRAPPER} if side.is_ours else {"type": "AmpOptimWrapper", "dtype": "bfloat16"}
        self.wrapper = build_optim_wrapper(
            self.model, Config({**cfg.optim_wrapper, **(amp if side.amp else {})})._cfg_dict
        )
        self.average = _build_average(cfg, self.model)
        if side.compiled:
            compile_network(self.model)
        self._hooks: list[Hook] = [GraphsHook()] if side.graphs else []
        self._hooks += [NoWaitHook()] if side.graphs or side.compiled else []
        runner: Any = SimpleNamespace(model=self.model, optim_wrapper=self.wrapper, logger=logging.getLogger(__name__))
        for hook in self._hooks:
            hook.before_train(runner)
        self._batch = batch

    def __call__(self, batch: Batch | None = None) -> float:
        """Train one step, by default with the first batch, and return its loss; with graphs that of the step before."""
        losses = self.model.train_step(dict(batch or self._batch), self.wrapper)
        self.average.update_parameters(self.model)
        for hook in self._hooks:
            hook.after_train_iter(None, 0, None, losses)
        return float(torch.as_tensor(losses["loss"]).detach())  # a number where a hook has read it


def build_model(side: Side) -> Any:
    """Return the model of a side with random weights, without multi-scale training."""
    init_default_scope("mmpose")
    model = _load_config(side).model
    model.data_preprocessor.batch_augments = None
    model.backbone.init_cfg = None
    torch.manual_seed(0)
    return MODELS.build(model)


def _load_config(side: Side) -> Config:
    return load_config(f"{side.recipe}_{side.data}") if side.is_ours else load_official_recipe(side.recipe)


def _build_average(cfg: Config, model: Any) -> Any:
    (hook,) = (hook for hook in cfg.custom_hooks if hook.type == "EMAHook")
    options = {name: hook[name] for name in ("momentum", "gamma", "update_buffers") if name in hook}
    return MODELS.build({"type": hook.ema_type, **options}, default_args={"model": model})


def measure_memory(side: Side, data_root: str | Path, batch_size: int) -> dict[str, int | None]:
    """Return the peak of a process that trains some steps of one side: ``rss``, and ``gpu`` if there is one, in MiB."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_train_for_memory, side, str(data_root), batch_size).result()


def _train_for_memory(side: Side, data_root: str, batch_size: int) -> dict[str, int | None]:
    step = TrainingStep(side, make_batch(data_root, batch_size, side.data))
    for _ in range(_NUM_STEPS_FOR_MEMORY):
        step()
    gpu = {"gpu": torch.cuda.max_memory_allocated() >> 20} if torch.cuda.is_available() else {}
    return {"rss": read_peak_memory(), **gpu}
