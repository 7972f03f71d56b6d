"""``curves.png``: losses by training stage, learning rate and AP of a run, from its log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.engine.schedule import read_schedule
from rtmo_plugin.files import replace_file
from rtmo_plugin.registry import HOOKS

CURVES_FILE = "curves.png"
_METRICS = ("AP", "AP .5", "AR")
_AP_OF, _MOST_PARTS = "AP of ", 6
_COLUMNS = 4
_STAGE_COLORS = ("#4c72b0", "#dd8452", "#55a868")


def read_scalars(work_dir: str | Path) -> list[dict[str, Any]]:
    """Return the log entries of the runs in a work folder, oldest first.

    A resumed run replaces the entries after the place where it resumed.

    Returns:
        Dicts as MMEngine's ``LocalVisBackend`` writes them: entries with ``epoch`` are from training, the
        others from validation, and their ``step`` is the epoch.
    """
    scalars: list[dict[str, Any]] = []
    for path in sorted(Path(work_dir).glob("*/vis_data/scalars.json")):
        # an interruption may truncate the last line
        entries = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        if entries:
            first = _find_place(entries[0])
            scalars = [entry for entry in scalars if _find_place(entry) < first] + entries
    return scalars


def find_epoch(entry: Mapping[str, Any]) -> float:
    """Return the epoch, counted from 1, of a log entry."""
    return float(entry.get("epoch", entry.get("step", 0)))


def _find_place(entry: Mapping[str, Any]) -> tuple[float, bool, float]:
    """Return the sort key of a log entry: a validation comes after the training of its epoch."""
    is_training = "epoch" in entry
    return find_epoch(entry), not is_training, float(entry.get("iter", 0)) if is_training else 0.0


def find_stages(cfg: Mapping[str, Any]) -> dict[str, int]:
    """Return the first epoch, counted from 0, of each training stage of a config, in order."""
    hook = (cfg.get("default_hooks") or {}).get("training_stages", {})
    return {stage.name: stage.begin for stage in read_schedule(hook.get("schedule", {"warmup": {"begin": 0}}))}


def plot_curves(scalars: Sequence[Mapping[str, Any]], path: str | Path, stages: Mapping[str, int]) -> None:
    """Plot losses, learning rate and average precision over epochs.

    Args:
        scalars: Log entries from ``read_scalars``.
        path: Output path of the PNG file.
        stages: First epoch of each training stage, counted from 0, in order.
    """
    from matplotlib.figure import Figure

    train = [entry for entry in scalars if "loss" in entry]
    names = sorted({key for entry in train for key in entry if key.startswith("loss_")})
    num_rows = -(-(len(names) + 2) // _COLUMNS)  # a teacher adds losses
    height = 3.25 * num_rows
    figure = Figure(figsize=(3 * _COLUMNS, height))
    # Matplotlib's own layouts draw everything twice, for seconds on a slow machine.
    places = {"left": 0.05, "right": 0.99, "bottom": 0.5 / height, "top": 1 - 0.32 / height}
    grid = figure.subplots(num_rows, _COLUMNS, gridspec_kw={**places, "wspace": 0.28, "hspace": 0.32}).ravel()
    panels, rest = grid[: len(names) + 2], grid[len(names) + 2 :]
    for panel in rest:
        panel.remove()
    epochs = _spread_within_epochs(train)
    for panel, name in zip(panels, ["lr", *names]):
        _plot_line(panel, epochs, [entry.get(name, float("nan")) for entry in train], name, stages)
    _plot_metrics(panels[-1], [entry for entry in scalars if "loss" not in entry])
    for panel in panels:
        panel.set_xlabel("epoch", fontsize=8)
        panel.grid(alpha=0.3)
    with replace_file(path) as draft:
        figure.savefig(draft, dpi=110)


def _spread_within_epochs(train: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the position of each training entry on the epoch axis; the last one of an epoch is at its end."""
    last = {find_epoch(entry): entry["iter"] for entry in train}
    starts = {epoch: last.get(epoch - 1, 0) for epoch in last}
    places = []
    for entry in train:
        epoch = find_epoch(entry)
        length = max(last[epoch] - starts[epoch], 1)
        places.append(epoch - 1 + (entry["iter"] - starts[epoch]) / length)
    return places


def _plot_line(
    panel: Any, epochs: Sequence[float], values: Sequence[float], name: str, stages: Mapping[str, int]
) -> None:
    """Plot one quantity with a line colored by training stage."""
    panel.set_title(name)
    begins = [*stages.values(), float("inf")]
    for stage, color, begin, end in zip(stages, _STAGE_COLORS, begins, begins[1:]):
        # an entry at the very end of an epoch belongs to the stage of that epoch
        points = [(e, v) for e, v in zip(epochs, values) if begin < e <= end or (e == begin == 0)]
        if points:
            panel.plot(*zip(*points), color=color, linewidth=1.2, label=stage)
    if name == "lr" and stages:
        panel.legend(fontsize=8)


def _plot_metrics(panel: Any, tested: Sequence[Mapping[str, Any]]) -> None:
    """Plot the precision and recall of each validation, and the AP of a few classes or parts as dashed lines."""
    panel.set_title("validation")
    panel.set_ylim(0, 1)
    keys = sorted({key for entry in tested for key in entry})
    parts = [key for key in keys if key.split("/")[-1].startswith(_AP_OF)]
    for name in [key for key in keys if key.split("/")[-1] in _METRICS] + parts[:_MOST_PARTS]:
        points = [(find_epoch(entry), entry[name]) for entry in tested if name in entry]
        style = "--" if name in parts else "-"
        panel.plot(*zip(*points), style, marker="o", markersize=3, label=name.split("/")[-1])
    if panel.lines:
        panel.legend(fontsize=8)


@HOOKS.register_module()
class CurvesHook(Hook):
    """Plot ``curves.png`` in the work folder after each validation and at the end of training."""

    priority = "VERY_LOW"  # after the logger

    def __init__(self) -> None:
        self._num_plotted = 0  # log entries in the plot

    @master_only  # type: ignore[untyped-decorator]  # MMEngine has no types
    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Update the plot with this validation."""
        self._plot(runner)

    @master_only  # type: ignore[untyped-decorator]  # MMEngine has no types
    def after_train(self, runner: Runner) -> None:
        """Update the plot with the last losses."""
        self._plot(runner)

    def _plot(self, runner: Runner) -> None:
        scalars = read_scalars(runner.work_dir)
        if any("loss" in entry for entry in scalars) and len(scalars) != self._num_plotted:
            self._num_plotted = len(scalars)
            plot_curves(scalars, Path(runner.work_dir) / CURVES_FILE, find_stages(runner.cfg))
