"""Defects of MMPose 1.3.2's RTMO around the training loop: its own classes first, then ours."""

from __future__ import annotations

import multiprocessing
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import SyncBuffersHook
from mmpose.engine.hooks import RTMOModeSwitchHook, SyncNormHook, YOLOXPoseModeSwitchHook
from torch import distributed, nn

from rtmo_plugin.engine.schedule import find_stage, read_schedule
from tests.oracle import load_official, load_ours


def test_every_defect_has_a_test():
    found = set()
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        found |= {int(number) for number in re.findall(r"^def test_defect_(\d+)_", path.read_text(), re.MULTILINE)}
    assert found == set(range(1, 18))


def find_switch_epoch(hook, max_epochs):
    """Return the first epoch, from 0, in which MMPose's hook has turned the auxiliary loss on."""
    head = SimpleNamespace(use_aux_loss=False)
    model = nn.Identity()
    model.head = head
    runner = SimpleNamespace(model=model, max_epochs=max_epochs, logger=SimpleNamespace(info=print), cfg=None)
    for epoch in range(max_epochs):
        runner.epoch = epoch
        hook.before_train_epoch(runner)
        if head.use_aux_loss:
            return epoch
    return None


def test_defect_07_one_meaning_of_an_epoch(monkeypatch):
    """MMPose's two hooks, told the same epoch, act one epoch apart; our schedule means one thing."""
    monkeypatch.setattr(YOLOXPoseModeSwitchHook, "_modify_dataloader", lambda *_: None)
    hooks = [YOLOXPoseModeSwitchHook(num_last_epochs=20), RTMOModeSwitchHook({580: {"use_aux_loss": True}})]
    switched = [find_switch_epoch(hook, max_epochs=600) for hook in hooks]
    assert switched == [579, 580]
    schedule = read_schedule({"warmup": {"begin": 0}, "refine": {"begin": 280}, "finish": {"begin": 580}})
    names = [find_stage(schedule, epoch).name for epoch in range(600)]
    assert [names.index(name) for name in ("warmup", "refine", "finish")] == [0, 280, 580]


def synchronise_statistics(rank, store, queue):
    """Run both hooks on a rank whose running mean is its number; report what became of it."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    norm = nn.BatchNorm1d(1)
    norm.running_mean.fill_(rank)
    warnings = []
    runner = SimpleNamespace(model=norm, logger=SimpleNamespace(warn=warnings.append))
    SyncNormHook().before_val_epoch(runner)
    after_theirs = float(norm.running_mean)
    SyncBuffersHook().after_train_epoch(runner)
    queue.put((rank, after_theirs, warnings, float(norm.running_mean)))
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_defect_08_norm_statistics_of_all_ranks(tmp_path):
    """MMPose's hook fails on every call and only logs it; our configs name MMEngine's, which works."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [
        context.Process(target=synchronise_statistics, args=(rank, tmp_path / "store", queue)) for rank in range(2)
    ]
    for process in processes:
        process.start()
    results = sorted(queue.get(timeout=300) for _ in processes)
    for process in processes:
        process.join()
    assert [after_theirs for _, after_theirs, _, _ in results] == [0.0, 1.0]
    assert all("SyncNormHook failed" in warnings[0] for _, _, warnings, _ in results)
    assert [after_ours for _, _, _, after_ours in results] == [0.5, 0.5]
    theirs, ours = ({h.type for h in load("rtmo-s_coco").custom_hooks} for load in (load_official, load_ours))
    assert "SyncNormHook" in theirs - ours
    assert "SyncBuffersHook" in ours
