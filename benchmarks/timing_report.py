"""Reports: times of each side, compared with those of the first, or rows that are shown and kept one by one."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

from rtmo_plugin.speed.rounds import Timing
from rtmo_plugin.speed.speed_report import SpeedReport

_COLUMNS = {
    "median s": ("median", ".3f"),
    "least": ("least", ".3f"),
    "most": ("most", ".3f"),
    "CPU s": ("median_cpu", ".3f"),
    "faster": ("times_faster", ".1f"),
    "less CPU": ("times_less_cpu", ".1f"),
}


def compare_timings(
    timings: tuple[Timing, ...],
    *,
    title: str,
    command: str,
    settings: Mapping[str, Any],
    results: Mapping[str, Any],
) -> SpeedReport:
    """Return a report in which the first side is the one that the others are compared with.

    Args:
        timings: Times of each side.
        title: Measured quantity, in one line.
        command: Command that measures it again, without ``python -m benchmarks``.
        settings: Options of the measurement.
        results: Further findings, such as that both sides agree.
    """
    first = timings[0]
    sides = tuple(
        {
            **dataclasses.asdict(each),
            "median": each.median,
            "least": min(each.seconds),
            "most": max(each.seconds),
            "median_cpu": each.median_cpu,
            "times_faster": first.median / each.median,
            "least_times_faster": min(other / own for other, own in zip(first.seconds, each.seconds)),
            "times_less_cpu": first.median_cpu / each.median_cpu,
        }
        for each in timings
    )
    rounds = {"rounds": len(first.seconds)}
    return SpeedReport(title, f"python -m benchmarks {command}", _COLUMNS, sides, {**settings, **rounds}, results)


def add_row(report: SpeedReport, row: Mapping[str, Any], out: str | None) -> SpeedReport:
    """Return a report with one more row, which is printed to stderr.

    Args:
        report: Report so far.
        row: Values of the row, by the keys of the report's columns.
        out: File that the report is written to, if any, so that a command that is killed leaves what it knows.
    """
    report = dataclasses.replace(report, sides=(*report.sides, row))
    values = [format(row[key], form) for key, form in report.columns.values() if row.get(key) is not None]
    print(f"{row['name']:60s} {'  '.join(values)}", file=sys.stderr, flush=True)
    if out:
        report.write(out)
    return report
