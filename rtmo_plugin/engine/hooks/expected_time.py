"""The time that a training will take, from its first steps."""

from __future__ import annotations

import time
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.registry import HOOKS
from rtmo_plugin.wording import count, format_hours

_SHORTEST_HOURS = 1 / 60


@HOOKS.register_module()
class ExpectedTimeHook(Hook):
    """Log once how long the rest of a training will take; validations are not counted.

    Args:
        num_left_out: Number of first steps of the run that do not count.
        num_steps: Number of steps that are timed.
    """

    priority = "LOWEST"  # after hooks whose time belongs to the step

    def __init__(self, num_left_out: int = 10, num_steps: int = 50) -> None:
        self._num_left_out, self._num_steps = num_left_out, num_steps
        self._num_done = self._num_timed = 0
        self._seconds = 0.0
        self._last: float | None = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Leave out what comes between two epochs."""
        self._last = None

    @master_only  # type: ignore[untyped-decorator]  # MMEngine has no types
    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Time the step, and log the expected time when there are enough."""
        if self._num_timed == self._num_steps:
            return
        before, self._last = self._last, time.monotonic()
        self._num_done += 1
        if before is None or self._num_done <= self._num_left_out:
            return
        self._num_timed += 1
        self._seconds += self._last - before
        step, num_left = self._seconds / self._num_timed, runner.max_iters - runner.iter - 1
        if self._num_timed == self._num_steps and step * num_left / 3600 > _SHORTEST_HOURS:
            runner.logger.info(
                f"Expected time: {format_hours(step * num_left / 3600)} for {count(num_left, 'step')} more of "
                f"{step:.3g} s each, without validations."
            )
