"""The folder of a study: its plan, and a file for each finished measurement."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.files import write_file

_PLAN = "plan.json"


@dataclass(frozen=True)
class Result:
    """One measurement of one variant.

    Attributes:
        variant: Name of the variant.
        seed: Seed of its random numbers.
        values: Numbers by column.
        details: Further observations, for other tables and plots.
        minutes: Duration in minutes, without interrupted attempts.
        hardware: Hardware of the measurement.
    """

    variant: str
    seed: int
    values: Mapping[str, float]
    details: Mapping[str, Any]
    minutes: float
    hardware: Mapping[str, str]


class StudyFolder:
    """Plan and results of one study.

    Every file is written whole or not at all, so that an interrupted study resumes with the missing measurements.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def settle_plan(
        self, identity: Mapping[str, Any], make: Callable[[float], Mapping[str, Any]], default_budget: float
    ) -> dict[str, Any]:
        """Return the folder's plan, which is made first in a new folder.

        Args:
            identity: Options that results must share to be comparable. A budget of None is that of the folder.
            make: Function of the budget that returns the rest of the plan, such as the number of images.
            default_budget: Budget of a new folder in minutes.

        Raises:
            ConfigError: The folder belongs to a study with another identity.
        """
        wanted = json.loads(json.dumps(dict(identity)))  # tuples become lists, as in the file
        file = self.path / _PLAN
        if file.is_file():
            plan: dict[str, Any] = read_values(file)
            wanted["budget"] = plan.get("budget") if wanted["budget"] is None else wanted["budget"]
            _refuse_other(wanted, plan, self.path)
            return plan
        wanted["budget"] = default_budget if wanted["budget"] is None else wanted["budget"]
        plan = {**wanted, **make(wanted["budget"])}
        write_values(file, plan)
        return plan

    def make_run_dir(self, variant: str, seed: int) -> Path:
        """Return the folder for the files of one measurement."""
        folder = self.path / "runs" / f"{variant}_seed{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def has(self, variant: str, seed: int) -> bool:
        """Tell whether a measurement is finished."""
        return self._locate(variant, seed).is_file()

    def write(self, result: Result) -> None:
        """Write a finished measurement."""
        write_values(self._locate(result.variant, result.seed), vars(result))

    def read_results(self) -> list[Result]:
        """Return all measurements, by variant and seed."""
        files = sorted((self.path / "results").glob("*.json"))
        results = [Result(**read_values(file)) for file in files]
        return sorted(results, key=lambda result: (result.variant, result.seed))

    def _locate(self, variant: str, seed: int) -> Path:
        return self.path / "results" / f"{variant}_seed{seed}.json"


def _refuse_other(wanted: Mapping[str, Any], plan: Mapping[str, Any], path: Path) -> None:
    """Raise a ConfigError where a plan has other options."""
    different = sorted(name for name in wanted if wanted[name] != plan.get(name))
    if different:
        name = different[0]
        then, now = (json.dumps(each.get(name)) for each in (plan, wanted))
        shown = f": then {then}, now {now}" if len(then) + len(now) < 200 else ""
        raise ConfigError(
            f"{path} holds results with another {name}{shown}; use the same again, or name another --work-dir."
        )


def write_values(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all, which may hold numbers that are not finite."""
    write_file(path, json.dumps(content, indent=1))


def read_values(path: Path) -> Any:
    """Read a file that ``write_values`` wrote.

    Raises:
        DataError: The file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}): remove it, and its content is measured again.") from error
