"""Killed at any moment and resumed as often as it takes: the weights of a run that never stopped, to the last bit.

The runs are the real recipe, with mosaic, mixup, random sizes, both stage switches and evaluations,
on a narrow model and small images; each is a process of its own that ends by SIGKILL.
"""

import contextlib
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.hooks import Hook
from mmpose.utils import register_all_modules

from rtmo_plugin.api import train
from rtmo_plugin.engine import training_loop
from tests.engine.test_resume import find_different
from tests.tiny_runs import make_tiny

# What a run imports when it starts, so that not each of them does.
register_all_modules()
torch.optim.AdamW([torch.zeros(1)])
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def make_recipe(stage_length):
    """Return a recipe of three stages with so many epochs of two steps each."""
    cfg = make_tiny("rtmo-s_coco")
    resize = {"type": "rtmo_plugin.BatchRandomResize", "random_size_range": (64, 128), "interval": 1}
    cfg.model.data_preprocessor.batch_augments = [resize]
    cfg.train_cfg = {"by_epoch": True, "max_epochs": 3 * stage_length, "val_interval": 2}
    schedule = cfg.default_hooks.training_stages.schedule
    schedule.refine.begin, schedule.finish.begin = stage_length, 2 * stage_length
    cfg.default_hooks.checkpoint.interval = 3
    (point,) = (hook for hook in cfg.custom_hooks if hook.type == "rtmo_plugin.ResumePointHook")
    point.minutes = 0
    return cfg


def die_at(owner, name, count):
    """Let this process be killed when it calls a function for the ``count``-th time."""
    function, calls = getattr(owner, name), []

    def call(*args, **kwargs):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    setattr(owner, name, call)


def work(cfg, options, death):
    torch.set_num_threads(1)  # the threads of the parent do not exist here
    training_loop.CurvesHook = Hook  # whose pictures take longer than the training
    if death:
        die_at(*death)
    with contextlib.ExitStack() as stack:
        console = stack.enter_context(Path(options["work_dir"], "console.txt").open("a"))
        stack.enter_context(contextlib.redirect_stdout(console))
        stack.enter_context(contextlib.redirect_stderr(console))
        train(cfg, resume="auto", seed=0, **options)


def run(cfg, data_root, work_dir, *, death=None, seconds=None, method="fork", **options):
    """Train in a process of its own until it ends, dies by ``death`` or is killed; return whether it was killed."""
    cv2.setNumThreads(0)  # threads do not survive a fork, and OpenCV would wait for them
    work_dir.mkdir(exist_ok=True)
    options = {"data_root": data_root, "work_dir": str(work_dir), **options}
    process = multiprocessing.get_context(method).Process(target=work, args=(cfg, options, death))
    process.start()
    process.join(300 if seconds is None else seconds)
    if process.is_alive():
        process.kill()
        process.join()
    assert process.exitcode in (0, -signal.SIGKILL), (work_dir / "console.txt").read_text()
    return process.exitcode != 0


def assert_same_end(work_dir, unbroken):
    (found_path, expected_path) = (max(folder.glob("epoch_*.pth")) for folder in (work_dir, unbroken))
    found, expected = (torch.load(path, weights_only=True) for path in (found_path, expected_path))
    for part in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        assert find_different(found[part], expected[part], part) == []
    assert found["meta"]["iter"] == expected["meta"]["iter"]
    assert {path.name for path in work_dir.glob("*.pth*")} == {path.name for path in unbroken.glob("*.pth*")}


# While the second checkpoint is written and the first was moved away for it; before it is moved to its
# place; in the middle of the last epoch.
DEATHS = [(os, "fsync", 2), (os, "replace", 1), (torch.Tensor, "backward", 4)]


def test_run_killed_at_bad_moments_ends_as_the_unbroken_one(data_root, tmp_path):
    recipe = make_recipe(stage_length=1)
    assert not run(recipe, data_root, tmp_path / "unbroken")
    for death in DEATHS:
        assert run(recipe, data_root, tmp_path / "killed", death=death)
    assert not run(recipe, data_root, tmp_path / "killed")
    assert_same_end(tmp_path / "killed", tmp_path / "unbroken")


@pytest.mark.slow
def test_run_killed_at_twenty_random_moments_ends_as_the_unbroken_one(data_root, tmp_path):
    recipe, moments, started = make_recipe(stage_length=2), random.Random(0), time.monotonic()
    assert not run(recipe, data_root, tmp_path / "unbroken")
    longest, num_kills, num_ends, is_ended = time.monotonic() - started, 0, 0, False
    while num_kills < 20 or not is_ended:
        seconds = moments.uniform(0, longest) if num_kills < 20 else None
        is_ended = not run(recipe, data_root, tmp_path / str(num_ends), seconds=seconds)
        if is_ended:
            assert_same_end(tmp_path / str(num_ends), tmp_path / "unbroken")
        num_kills, num_ends = num_kills + (not is_ended), num_ends + is_ended
    print(f"{num_kills} kills, {num_ends} runs that ended as the unbroken one")
