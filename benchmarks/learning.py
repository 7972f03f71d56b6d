"""Learning curves of RTMO-t: MMPose's and ours, from the same weights, on the same folder of drawn people."""

from __future__ import annotations

import copy
import json
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

from benchmarks.official import load_official_recipe
from benchmarks.plotting import COLORS, draw_figure
from benchmarks.timing_report import compare_timings
from rtmo_plugin.api import train
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.data import SyntheticPeople
from rtmo_plugin.data.synthetic.coco_folder import write_coco_folder
from rtmo_plugin.engine.console import suppress_initialization_log
from rtmo_plugin.engine.hooks.curves import find_epoch, find_stages, read_scalars
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.registry import HOOKS
from rtmo_plugin.speed.rounds import Timing
from rtmo_plugin.speed.speed_report import SpeedReport

RECIPE = "rtmo-t_synthetic"
THEIR_SIDE, OUR_SIDE = "MMPose, fp32", "rtmo_plugin, --amp"
_TRAIN, _VAL = "train2017", "val2017"
_AP = "coco/AP"
# What MMPose has as well, or what touches no number but the order of samples.
_SHARED_HOOKS = ("SyncBuffersHook", "EMAHook", "rtmo_plugin.RandomnessHook")

Curve = Sequence[Mapping[str, float]]  # by epoch: `ap`, `seconds`, `cpu_seconds`
_PLOT, _CLOCK, _WEIGHTS = "curves.png", "clock.jsonl", "initial.pth"


@HOOKS.register_module()
class EpochClockHook(Hook):
    """Write the wall-clock and CPU seconds of each training epoch, without validation.

    Args:
        path: File of JSON lines; an older one is removed.
    """

    priority = "LOWEST"

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._path.unlink(missing_ok=True)
        self._start = (0.0, 0.0)

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock."""
        self._start = (time.perf_counter(), time.process_time())

    def after_train_epoch(self, runner: Runner) -> None:
        """Write the seconds since the start of the epoch."""
        now = (time.perf_counter(), time.process_time())
        seconds, cpu_seconds = (end - start for end, start in zip(now, self._start))
        line = json.dumps({"epoch": runner.epoch + 1, "seconds": seconds, "cpu_seconds": cpu_seconds})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def run(*, work_dir: str | Path = "work_dirs/learning", num_images: int | None = None, seed: int = 0) -> SpeedReport:
    """Train MMPose's RTMO-t and ours with the recipe of ``rtmo-t_synthetic``, one after the other.

    Both start from the same weights, see the same PNG files through the same transforms of MMPose, and
    are tested after each epoch.  The recipe's one setting that MMPose does not have, ``dynamic_k="iou"``,
    is left at MMPose's.

    Args:
        work_dir: New folder for the images, both runs and ``curves.png``.
        num_images: Number of images to train on, and at most as many to test on; None for the recipe's.
        seed: Seed of weights and transforms.

    Raises:
        UserError: The folder has something in it, or ``num_images`` is too small.
    """
    work_dir = Path(work_dir)
    if num_images is not None and num_images < 1:
        raise ConfigError("learning: --num-images must be at least 1.")
    if work_dir.is_dir() and any(work_dir.iterdir()):
        raise ConfigError(f"learning: {work_dir} has files in it: remove it, or name another --work-dir.")
    num_written = write_images(work_dir / "people", num_images)
    ours = load_recipe(work_dir / "people")
    configs = {THEIR_SIDE: make_their_config(ours), OUR_SIDE: ours}
    _write_weights(configs, work_dir / _WEIGHTS, seed)
    curves = {name: _train_in_process(name, cfg, work_dir, seed) for name, cfg in configs.items()}
    plot_learning(curves, work_dir / _PLOT)
    timings = tuple(
        Timing(name, tuple(each["seconds"] for each in curve), tuple(each["cpu_seconds"] for each in curve))
        for name, curve in curves.items()
    )
    return compare_timings(
        timings,
        title=f"An epoch of RTMO-t on {num_written} images of drawn people, 192 x 192",
        command="learning" + ("" if num_images is None else f" --num-images {num_images}"),
        settings={"recipe": RECIPE, "seed": seed, "num_images": num_written},
        results={
            "threads": torch.get_num_threads(),
            "AP after each epoch": {name: [round(each["ap"], 3) for each in curve] for name, curve in curves.items()},
            "plot": str(work_dir / _PLOT),
        },
    )


def write_images(folder: Path, num_images: int | None) -> int:
    """Draw the recipe's people, or the first of them, into a COCO folder; return how many images to train on."""
    cfg = load_config(RECIPE)
    counts: dict[str, int] = {}
    for split, loader in ((_TRAIN, cfg.train_dataloader), (_VAL, cfg.val_dataloader)):
        options = {key: loader.dataset[key] for key in ("num_images", "seed", *cfg.scenes)}
        counts[split] = options["num_images"] = min(num_images or options["num_images"], options["num_images"])
        for _ in write_coco_folder(SyntheticPeople(**options), folder, split):
            pass
    return counts[_TRAIN]


def load_recipe(folder: Path) -> Config:
    """Return our config, for images in a COCO folder, tested after each epoch."""
    cfg = load_config(RECIPE)
    for split, loader in ((_TRAIN, cfg.train_dataloader), (_VAL, cfg.val_dataloader), (_VAL, cfg.test_dataloader)):
        pipeline = _read_files(loader.dataset.pipeline)
        loader.dataset = {
            "type": "CocoDataset",
            "data_root": str(folder),
            "data_prefix": {"img": f"{split}/"},
            "ann_file": f"annotations/person_keypoints_{split}.json",
            "data_mode": "bottomup",
            "test_mode": split == _VAL,
            "pipeline": pipeline,
        }
    finish = cfg.default_hooks.training_stages.schedule.finish
    finish.pipeline = _read_files(finish.pipeline)
    cfg.train_cfg.val_interval = 1
    cfg.model.head.assigner.dynamic_k = "oks"
    return cfg


def _read_files(pipeline: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    first, *others = pipeline
    if first["type"] != "rtmo_plugin.DrawSyntheticImage":
        raise ConfigError(f"{RECIPE}: a pipeline begins with {first['type']}, and cannot read files.")
    return [{"type": "LoadImage"}, *map(dict, others)]


def make_their_config(ours: Config) -> Config:
    """Return the same training with MMPose's own RTMO-t and the hooks that switch its stages."""
    cfg = copy.deepcopy(ours)
    weights, stages = {name: stage.weights for name, stage in ours.model.head.stages.items()}, find_stages(ours)
    model = load_official_recipe("rtmo-t").model
    model.backbone.init_cfg = model.data_preprocessor.batch_augments = None
    model.test_cfg.update(ours.model.test_cfg)
    for name, weight in weights["warmup"].items():
        model.head[f"loss_{name}"].loss_weight = weight
    cfg._cfg_dict["model"] = model
    refine = {"proxy_target_cc": True, "loss_oks.loss_weight": weights["warmup"].oks}
    refine |= {f"loss_{name}.loss_weight": weight for name, weight in weights["refine"].items()}
    finish = cfg.default_hooks.pop("training_stages").schedule.finish
    # its hook counts from the end, and acts one epoch early
    num_last = cfg.train_cfg.max_epochs - stages["finish"] - 1
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook.type in _SHARED_HOOKS] + [
        {"type": "YOLOXPoseModeSwitchHook", "num_last_epochs": num_last, "new_train_pipeline": finish.pipeline},
        {"type": "RTMOModeSwitchHook", "epoch_attributes": {stages["refine"]: refine}},
    ]
    return cfg


def _write_weights(configs: Mapping[str, Config], path: Path, seed: int) -> None:
    """Write our initial weights as MMPose's checkpoints hold them."""
    init_default_scope("mmpose")
    torch.manual_seed(seed)
    with suppress_initialization_log():
        models = {name: MODELS.build(cfg.model) for name, cfg in configs.items()}
        models[OUR_SIDE].init_weights()
    models[THEIR_SIDE].load_state_dict(models[OUR_SIDE].state_dict(), strict=False)
    torch.save({"state_dict": models[THEIR_SIDE].state_dict(), "meta": {}}, path)


def _train_in_process(name: str, cfg: Config, work_dir: Path, seed: int) -> list[dict[str, float]]:
    """Return what ``_train`` does, of a process that nothing was done in."""
    folder = work_dir / ("ours" if name == OUR_SIDE else "mmpose")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_train, cfg.to_dict(), folder, work_dir / _WEIGHTS, name == OUR_SIDE, seed).result()


def _train(cfg: dict[str, Any], folder: Path, weights: Path, amp: bool, seed: int) -> list[dict[str, float]]:
    """Train one side; return ``ap``, ``seconds`` and ``cpu_seconds`` of each epoch."""
    folder.mkdir()
    clock = {"type": "rtmo_plugin.EpochClockHook", "path": str(folder / _CLOCK)}
    config = Config({**cfg, "custom_hooks": [*cfg["custom_hooks"], clock]})
    train(config, work_dir=folder, load_from=weights, amp=amp, seed=seed, overwrite=True)
    tested = {find_epoch(each): each[_AP] for each in read_scalars(folder) if _AP in each}
    lines = map(json.loads, (folder / _CLOCK).read_text(encoding="utf-8").splitlines())
    return [{**line, "ap": tested[line["epoch"]]} for line in lines]


def plot_learning(curves: Mapping[str, Curve], path: Path) -> None:
    """Draw AP over epochs, and over minutes of training, of all sides into a PNG."""

    def draw(figure: Any) -> None:
        by_epoch, by_clock = figure.subplots(1, 2, sharey=True)
        for (name, curve), color in zip(curves.items(), COLORS):
            precision = [0.0, *(each["ap"] for each in curve)]
            minutes = list(accumulate((each["seconds"] / 60 for each in curve), initial=0.0))
            by_epoch.plot(range(len(precision)), precision, marker="o", color=color, label=name)
            by_clock.plot(minutes, precision, marker="o", color=color, label=name)
        by_epoch.set(xlabel="epochs", ylabel="AP on held-out images", ylim=(0, None))
        by_clock.set(xlabel="minutes of training")
        by_epoch.legend()
        for panel in (by_epoch, by_clock):
            panel.grid(alpha=0.3)

    draw_figure(path, (9, 3.4), draw)
