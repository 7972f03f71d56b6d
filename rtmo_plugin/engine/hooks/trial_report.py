"""Reports of a training that is a trial of Ray Tune."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.engine.metric_tables import find_average_precision_name
from rtmo_plugin.errors import ConfigError, NonFiniteError
from rtmo_plugin.registry import HOOKS


@HOOKS.register_module()
class TrialReportHook(Hook):
    """Report a metric to Ray Tune after each validation, and append it to a file in the work folder.

    Ray Tune answers when it has decided whether the trial goes on, and ends the process otherwise.

    Args:
        file: Name of the file, which gets a line of JSON with ``epoch`` and ``metric``.
        metric: Name of the metric. Default: AP.

    Raises:
        ConfigError: In the first validation, if it has no such metric.
        NonFiniteError: The metric is not a number.
    """

    priority = "LOWEST"  # after the best checkpoint and the curves

    def __init__(self, file: str, metric: str | None = None) -> None:
        self._file, self._metric = file, metric

    @master_only  # type: ignore[untyped-decorator]  # MMEngine has no types
    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Write and report the metric of a validation."""
        from ray import tune  # an extra

        found = metrics or {}
        name = self._metric or find_average_precision_name(found) or "AP"
        if name not in found:
            raise ConfigError(f"The validation has no metric {name!r}: choose one of {', '.join(found)} by --metric.")
        value = float(found[name])
        if math.isnan(value):
            raise NonFiniteError(f"{name} is not a number after epoch {runner.epoch}.")
        entry = {"epoch": runner.epoch, "metric": value}
        with Path(runner.work_dir, self._file).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        tune.report(entry)
