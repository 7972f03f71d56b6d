"""Frequent checkpoints for ``--resume``, besides those that a recipe keeps."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.files import write_file
from rtmo_plugin.registry import HOOKS

LAST, PREVIOUS = "last.pth", "previous.pth"


@HOOKS.register_module()
class ResumePointHook(Hook):
    """Save ``last.pth`` at the end of an epoch and before a validation; the one before becomes ``previous.pth``.

    In the official recipes MMEngine's ``CheckpointHook`` saves every 40 epochs, which can take a day.
    Both files are for ``--resume`` only and are removed when a run ends with a regular checkpoint.

    Args:
        minutes: Shortest time between a checkpoint and the next ``last.pth``; 0 saves after every epoch.
    """

    priority = "LOWEST"  # after CheckpointHook

    def __init__(self, minutes: float = 10.0) -> None:
        self._seconds = 60 * minutes
        self._saved_at = 0.0
        self._regular: str | None = None
        self._saved_epoch: int | None = None  # None outside training

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._saved_at = time.monotonic()
        self._regular = _find_regular(runner)
        self._saved_epoch = runner.epoch

    @master_only  # type: ignore[untyped-decorator]  # MMEngine has no types
    def after_train_epoch(self, runner: Runner) -> None:
        """Save, unless a checkpoint was written within the last ``minutes``."""
        if _find_regular(runner) == self._regular:
            if time.monotonic() - self._saved_at < self._seconds:
                return
            save_resume_point(runner)
        self._note_saved(runner, runner.epoch + 1)

    @master_only  # type: ignore[untyped-decorator]  # MMEngine has no types
    def before_val(self, runner: Runner) -> None:
        """Save the epoch before its validation, which may be interrupted."""
        if self._saved_epoch is not None and self._saved_epoch < runner.epoch:
            save_resume_point(runner, {"epoch": runner.epoch, "iter": runner.iter})
            self._note_saved(runner, runner.epoch)

    def _note_saved(self, runner: Runner, epoch: int) -> None:
        self._regular, self._saved_epoch = _find_regular(runner), epoch
        self._saved_at = time.monotonic()

    @master_only  # type: ignore[untyped-decorator]  # MMEngine has no types
    def after_train(self, runner: Runner) -> None:
        """Remove both files if a regular checkpoint was written after them."""
        self._saved_epoch = None
        regular, last = Path(self._regular or ""), Path(runner.work_dir, LAST)
        if regular.is_file() and last.is_file() and regular.stat().st_mtime >= last.stat().st_mtime:
            for name in (LAST, PREVIOUS):
                Path(runner.work_dir, name).unlink(missing_ok=True)


def _find_regular(runner: Runner) -> str | None:
    """Return the path of the last checkpoint of ``CheckpointHook``."""
    path: str | None = runner.message_hub.runtime_info.get("last_ckpt")
    return path


def save_resume_point(runner: Runner, meta: Mapping[str, Any] | None = None) -> None:
    """Save ``last.pth`` and keep the one before as ``previous.pth``.

    Args:
        runner: Runner of the training.
        meta: Numbers of finished epochs and steps. Default: those at the end of the current epoch.
    """
    last = Path(runner.work_dir, LAST)
    if last.is_file():
        os.replace(last, last.with_name(PREVIOUS))
    runner.save_checkpoint(runner.work_dir, LAST, meta=None if meta is None else dict(meta))
    write_file(last.with_name("last_checkpoint"), str(last))  # the file that MMEngine reads on resuming
