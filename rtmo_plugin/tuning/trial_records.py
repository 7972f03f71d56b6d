"""What is known of each trial, in files of its folder, so that a tuning can be resumed after any interruption.

The process of a trial appends a line to ``reports.jsonl`` after each validation. ``outcome.json`` is there when the
trial has ended; without it the trial is to do, from its last checkpoint if it wrote one. A trial that fails writes the
reason into ``failure.txt``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError, UserError
from rtmo_plugin.files import read_json, read_text, write_file, write_json

REPORTS, OUTCOME, OUTPUT = "reports.jsonl", "outcome.json", "output.txt"
_FAILURE = "failure.txt"
_KILLED = "its process was killed, for example because memory ran out"
_TRIALS = "trials"


class Outcome(str, Enum):
    """How a trial ended: after all epochs, earlier because others were better, or with an error."""

    DONE = "done"
    STOPPED = "stopped early"
    FAILED = "failed"


@dataclass(frozen=True)
class TrialRecord:
    """A trial of a tuning.

    Attributes:
        number: Number from 1; the first trial has the values of the config.
        values: Value of each knob by name.
        reports: Metric by number of finished epochs, in ascending order.
        outcome: How the trial ended, or None if it did not.
        error: Reason of a failure in one sentence.
    """

    number: int
    values: Mapping[str, float]
    reports: Mapping[int, float]
    outcome: Outcome | None = None
    error: str | None = None

    @property
    def best(self) -> tuple[float, int] | None:
        """Highest metric and its epoch, the first of equals; None without a validation, and after a failure."""
        if not self.reports or self.outcome is Outcome.FAILED:
            return None
        epoch = max(self.reports, key=lambda each: (self.reports[each], -each))
        return self.reports[epoch], epoch

    def describe(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        metric, epoch = self.best or (None, None)
        return {
            "trial": self.number,
            "values": dict(self.values),
            "metric": metric,
            "epoch": epoch,
            "epochs": max(self.reports, default=0),
            "outcome": self.outcome.value if self.outcome else None,
            "error": self.error,
        }


def locate_trial(work_dir: Path, number: int) -> Path:
    """Return the folder of a trial, which is the work folder of its training."""
    return work_dir / _TRIALS / f"{number:03d}"


def read_trial(work_dir: Path, number: int, values: Mapping[str, float]) -> TrialRecord:
    """Return what is known of a trial.

    Args:
        work_dir: Folder of the tuning.
        number: Number of the trial.
        values: Value of each knob by name.

    Raises:
        DataError: A file of the trial is damaged.
    """
    folder = locate_trial(work_dir, number)
    record = TrialRecord(number, values, read_reports(folder / REPORTS))
    path = folder / OUTCOME
    if not path.is_file():
        return record
    data = read_json(path)
    try:
        return replace(record, outcome=Outcome(data["outcome"]), error=data["error"])
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path} is damaged: remove it, and the trial is continued.") from None


def note_end(work_dir: Path, record: TrialRecord, epochs: int, has_failed: bool) -> TrialRecord:
    """Write and return how a trial ended.

    Args:
        work_dir: Folder of the tuning.
        record: What is known of the trial.
        epochs: Number of epochs of a trial.
        has_failed: Whether it failed.
    """
    folder, error = locate_trial(work_dir, record.number), None
    outcome = Outcome.DONE if max(record.reports, default=0) >= epochs else Outcome.STOPPED
    if has_failed:
        path = folder / _FAILURE
        outcome, error = Outcome.FAILED, read_text(path) if path.is_file() else _KILLED
        path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / OUTCOME, {"outcome": outcome.value, "error": error})
    return replace(record, outcome=outcome, error=error)


class FailureNote:
    """Writes the reason in one line when the block raises an error.

    Args:
        folder: Folder of the trial.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        (self._folder / _FAILURE).unlink(missing_ok=True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception):
            words = " ".join(str(error).split())
            named = words if isinstance(error, UserError) else f"{type(error).__name__}: {words}"
            write_file(self._folder / _FAILURE, named)


def read_reports(path: Path) -> dict[int, float]:
    """Return the metric by epoch; of an epoch that was trained twice the later one, and no line cut by a kill."""
    found: dict[int, float] = {}
    for line in read_text(path).splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
            found[int(entry["epoch"])] = float(entry["metric"])
        except (ValueError, KeyError, TypeError):
            continue
    return dict(sorted(found.items()))
