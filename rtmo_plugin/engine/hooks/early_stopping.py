"""An early end of training, when AP has stopped growing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import EarlyStoppingHook
from mmengine.runner import Runner

from rtmo_plugin.engine.metric_tables import find_average_precision_name
from rtmo_plugin.registry import HOOKS

_AP = "auto"


@HOOKS.register_module()
class ResumableEarlyStoppingHook(EarlyStoppingHook):
    """MMEngine's ``EarlyStoppingHook``, but a resumed run continues to count, and ``auto`` monitors AP.

    Args:
        monitor: Name of a metric. Default: AP, whatever data set its name begins with.
        rule: ``greater`` or ``less``, for which values are better. Default: by the name; ``greater`` for AP.
        **options: Further options of MMEngine's hook, such as ``patience`` and ``min_delta``.
    """

    monitor: str
    wait_count: int
    best_score: float

    def __init__(self, monitor: str = _AP, rule: str | None = None, **options: Any) -> None:
        super().__init__(monitor, rule="greater" if monitor == _AP else rule, **options)
        self._note = f"early_stopping_{monitor}"

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Count validations without a better value; the count is kept in the checkpoints of the run."""
        if self.monitor == _AP:
            self.monitor = find_average_precision_name(metrics or {}) or _AP
        if noted := runner.message_hub.runtime_info.get(self._note):
            self.wait_count, self.best_score = noted["wait_count"], noted["best_score"]
        super().after_val_epoch(runner, metrics or {})
        noted = {"wait_count": self.wait_count, "best_score": float(self.best_score)}
        runner.message_hub.update_info(self._note, noted)
