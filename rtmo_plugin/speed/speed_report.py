"""A report of measured sides: a table for people, JSON for programs, with date, machine and versions."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import escape_control_characters
from rtmo_plugin.files import write_json
from rtmo_plugin.speed.machine import describe_hardware, describe_versions


@dataclass(frozen=True)
class SpeedReport:
    """What was measured, side by side.

    Attributes:
        title: Measured quantity, in one line.
        command: Command that measures it again.
        columns: Columns of the table by their heads: the key of a side's value and its format.
        sides: Values of each side by name, ``name`` among them; a value of None was not measured.
        settings: Options of the measurement.
        results: Further findings, such as that all sides agree.
        date: Day of the measurement. Default: today.
    """

    title: str
    command: str
    columns: Mapping[str, tuple[str, str]]
    sides: tuple[Mapping[str, Any], ...]
    settings: Mapping[str, Any]
    results: Mapping[str, Any] = field(default_factory=dict)
    date: str = field(default_factory=lambda: datetime.date.today().isoformat())

    def describe(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {
            "title": self.title,
            "command": self.command,
            "date": self.date,
            "settings": dict(self.settings),
            "sides": [dict(side) for side in self.sides],
            "results": dict(self.results),
            "hardware": describe_hardware(),
            "versions": describe_versions(),
        }

    def format(self) -> str:
        """Return a human-readable table, and below it the findings and the machine, one per line."""
        shown = {
            head: key for head, key in self.columns.items() if any(side.get(key[0]) is not None for side in self.sides)
        }
        rows = [["", *shown]]
        for side in self.sides:
            values = [(side.get(key), form) for key, form in shown.values()]
            rows.append([side["name"], *("-" if value is None else format(value, form) for value, form in values)])
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
        facts = {**self.results, **self.settings, "date": self.date, **describe_hardware(), **describe_versions()}
        facts_shown = [f"{name}: {value}" for name, value in facts.items() if value is not None]
        return "\n".join(map(escape_control_characters, [self.title, "", *lines, "", *facts_shown]))

    def write(self, path: str | Path) -> None:
        """Write everything to a JSON file."""
        write_json(path, self.describe(), indent=2)
