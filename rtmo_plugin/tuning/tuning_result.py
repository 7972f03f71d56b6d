"""Result of a tuning: a table and a plot of the trials, and the best one as a config."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtmo_plugin.files import replace_file, write_file
from rtmo_plugin.tuning.knobs import Knob
from rtmo_plugin.tuning.trial_records import Outcome, TrialRecord
from rtmo_plugin.wording import count, show_path

TABLE, PLOT, BEST_CONFIG = "trials.csv", "trials.png", "best.py"
_BEST, _OTHER = "#dd8452", "#4c72b0"


@dataclass(frozen=True)
class TuningResult:
    """Result of a tuning.

    Attributes:
        work_dir: Folder with the table, the plot, the best config, and a folder for each trial.
        metric: Name of the metric.
        knobs: Numbers that were varied.
        records: Trials by number.
    """

    work_dir: Path
    metric: str
    knobs: Sequence[Knob]
    records: Sequence[TrialRecord]

    @property
    def ranking(self) -> list[TrialRecord]:
        """Trials with a metric, the best first, and the earlier one of equals."""
        return sorted((each for each in self.records if each.best), key=lambda each: (-each.best[0], each.number))  # type: ignore[index]  # those with one

    @property
    def failed(self) -> list[TrialRecord]:
        """Trials that failed."""
        return [each for each in self.records if each.outcome is Outcome.FAILED]

    def describe(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {
            "metric": self.metric,
            "knobs": [knob.describe() for knob in self.knobs],
            "trials": [record.describe() for record in self.records],
            "best": self.ranking[0].number if self.ranking else None,
            "work_dir": str(self.work_dir),
        }

    def __str__(self) -> str:
        lines = [format_trials(self), ""]
        if self.ranking:
            best, start = self.ranking[0], self.records[0].best
            assert best.best is not None
            gain = f", {best.best[0] - start[0]:+.3f} beside the config's own values" if start else ""
            lines += [f"best:           trial {best.number}: {self.metric} {best.best[0]:.3f}{gain}"]
            lines += [f"config:         {show_path(self.work_dir / BEST_CONFIG)}"]
        lines += [
            f"table:          {show_path(self.work_dir / TABLE)}",
            f"plot:           {show_path(self.work_dir / PLOT)}",
        ]
        lines += [f"trial {each.number} failed: {each.error}" for each in self.failed]
        return "\n".join(lines)


def format_trials(result: TuningResult) -> str:
    """Return the trials as a table, the best first, then those that failed or have no metric."""
    ranked = result.ranking
    others = [record for record in result.records if record not in ranked]
    names = [knob.name for knob in result.knobs]
    rows = [["trial", result.metric, "epoch", "epochs", "outcome", *names]]
    for record in (*ranked, *others):
        metric, epoch = (f"{record.best[0]:.3f}", str(record.best[1])) if record.best else ("-", "-")
        outcome = record.outcome.value if record.outcome else "not ended"
        values = [f"{record.values[name]:.{3}g}" for name in names]
        rows.append([str(record.number), metric, epoch, str(max(record.reports, default=0)), outcome, *values])
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def write_table(result: TuningResult) -> None:
    """Write the trials as CSV."""
    buffer = io.StringIO()
    names = [knob.name for knob in result.knobs]
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["trial", "metric", "epoch", "epochs", "outcome", *names, "error"])
    for record in result.records:
        plain = record.describe()
        head = [plain[key] for key in ("trial", "metric", "epoch", "epochs", "outcome")]
        writer.writerow([*head, *(record.values[name] for name in names), record.error])
    write_file(result.work_dir / TABLE, buffer.getvalue())


def plot_trials(result: TuningResult) -> None:
    """Plot the metric of each trial over epochs, and the best metric against the value of each knob."""
    from matplotlib.figure import Figure

    num_panels = 1 + len(result.knobs)
    columns = min(num_panels, 3)
    rows = -(-num_panels // columns)
    figure = Figure(figsize=(4 * columns, 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    best = result.ranking[0].number if result.ranking else None
    for record in (each for each in result.records if each.reports):
        color, width = (_BEST, 2.2) if record.number == best else (_OTHER, 0.9)
        panels[0].plot(*zip(*record.reports.items()), color=color, linewidth=width, marker="o", markersize=3)
    panels[0].set_title(f"{result.metric} by epoch")
    panels[0].set_xlabel("epoch", fontsize=8)
    for panel, knob in zip(panels[1:], result.knobs):
        _plot_knob(panel, knob, result, best)
    for panel in panels[:num_panels]:
        panel.grid(alpha=0.3)
    for panel in panels[num_panels:]:
        panel.set_axis_off()
    with replace_file(result.work_dir / PLOT) as draft:
        figure.savefig(draft, dpi=110)


def _plot_knob(panel: Any, knob: Knob, result: TuningResult, best: int | None) -> None:
    """Plot the best metric of each trial against the value of a knob; a line marks the config's own."""
    for record in result.ranking:
        assert record.best is not None
        color, size = (_BEST, 60) if record.number == best else (_OTHER, 22)
        panel.scatter(record.values[knob.name], record.best[0], color=color, s=size)
        place = (record.values[knob.name], record.best[0])
        panel.annotate(str(record.number), place, xytext=(5, 3), textcoords="offset points", fontsize=7)
    panel.axvline(knob.start, color="gray", linewidth=0.8, linestyle="--")
    if knob.is_wide:
        panel.set_xscale("log")
    margin = (knob.high / knob.low) ** 0.04 if knob.is_wide else 0.04 * (knob.high - knob.low)
    ends = min(knob.low, knob.start), max(knob.high, knob.start)
    panel.set_xlim(*(ends[0] / margin, ends[1] * margin) if knob.is_wide else (ends[0] - margin, ends[1] + margin))
    panel.set_title(knob.name)


def count_outcomes(records: Sequence[TrialRecord]) -> str:
    """Return how many trials ended, and how."""
    numbers = {outcome: sum(each.outcome is outcome for each in records) for outcome in Outcome}
    words = ", ".join(f"{number} {outcome.value}" for outcome, number in numbers.items() if number)
    ended = sum(numbers.values())
    return f"{ended} of {count(len(records), 'trial')} ended{f' ({words})' if words else ''}"
