"""Catching up on a validation that an interrupted run missed after its last checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.registry import HOOKS

_DONE = "validated_epoch"


@HOOKS.register_module()
class MissedValidationHook(Hook):
    """Validate before training resumes, if the validation of the checkpoint's epoch is due and missing."""

    priority = 100  # after hooks that prepare training

    def __init__(self) -> None:
        self._validated_epoch: int | None = None

    def before_train(self, runner: Runner) -> None:
        """Validate if a validation is missing."""
        loop: Any = runner.train_loop
        is_within_epoch = bool(getattr(loop, "first_batch", False))
        if not runner._resume or runner.val_loop is None or not loop.epoch or is_within_epoch:
            return
        loop._decide_current_val_interval()
        is_due = loop.epoch >= loop.val_begin and (loop.epoch % loop.val_interval == 0 or loop.epoch == loop.max_epochs)
        if is_due and getattr(runner, "resumed", {}).get(_DONE) != loop.epoch:
            runner.val_loop.run()

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Record the validated epoch."""
        self._validated_epoch = runner.epoch

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Store the last validated epoch in the checkpoint."""
        checkpoint["meta"][_DONE] = self._validated_epoch
