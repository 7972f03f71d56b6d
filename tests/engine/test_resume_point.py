"""last.pth and previous.pth: how often they are written, what they hold, and when they go."""

from types import SimpleNamespace

import torch

from rtmo_plugin.engine.hooks import resume_point
from rtmo_plugin.engine.hooks.resume_point import ResumePointHook
from tests.engine.test_training_stages import STAGES, run

HOOK = "rtmo_plugin.ResumePointHook"


def train(work_dir, monkeypatch, minutes, interval):
    """Train six epochs of a minute each; return the files that were there at the end of each, and at the end."""
    clock, seen, check = [0.0], [], ResumePointHook.after_train_epoch

    def note(hook, runner):
        clock[0] += 60
        check(hook, runner)
        seen.append(sorted(path.name for path in work_dir.glob("*.pth")))

    # of this module alone: loading workers of other tests may end meanwhile, and wait by the clock
    monkeypatch.setattr(resume_point, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(ResumePointHook, "after_train_epoch", note)
    hooks = [{"type": "rtmo_plugin.TrainingStageHook", "schedule": STAGES}, {"type": HOOK, "minutes": minutes}]
    checkpoint = {"checkpoint": {"type": "CheckpointHook", "interval": interval}}
    run(work_dir, STAGES, custom_hooks=hooks, default_hooks=checkpoint)
    return seen, sorted(path.name for path in work_dir.glob("*.pth"))


def test_regular_checkpoints_count_and_the_last_one_ends_it(tmp_path, monkeypatch):
    seen, left = train(tmp_path, monkeypatch, minutes=2, interval=3)
    assert seen == [
        [],
        ["last.pth"],
        ["epoch_3.pth", "last.pth"],
        ["epoch_3.pth", "last.pth"],
        ["epoch_3.pth", "last.pth", "previous.pth"],
        ["epoch_3.pth", "epoch_6.pth", "last.pth", "previous.pth"],
    ]
    assert left == ["epoch_3.pth", "epoch_6.pth"]


def test_regular_checkpoints_of_every_epoch_are_enough(tmp_path, monkeypatch):
    seen, left = train(tmp_path, monkeypatch, minutes=0, interval=1)
    assert seen[-1] == left == [f"epoch_{epoch}.pth" for epoch in range(1, 7)]


def test_what_is_saved_can_be_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(ResumePointHook, "after_train", lambda *_: None)  # as if the run had not ended
    train(tmp_path, monkeypatch, minutes=0, interval=6)
    epochs = {name: torch.load(tmp_path / name, weights_only=True)["meta"] for name in ("last.pth", "previous.pth")}
    assert {name: (meta["epoch"], meta["iter"]) for name, meta in epochs.items()} == {
        "last.pth": (5, 10),
        "previous.pth": (4, 8),
    }
    resumed = run(tmp_path / "resumed", STAGES, resume=tmp_path / "last.pth")
    assert len(resumed.seen) == 2
