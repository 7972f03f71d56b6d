"""Run a study: missing variants are measured, and table and plot are written after each measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.speed.machine import describe_hardware, describe_versions
from studies.definitions import Request, Study, Variant, choose_variants
from studies.study_folder import Result, StudyFolder
from studies.study_page import write_page

DEFAULT_BUDGET = 60.0  # minutes


@dataclass(frozen=True)
class Outcome:
    """Findings of one measurement; see ``Result``."""

    values: Mapping[str, float]
    details: Mapping[str, Any]


class Method(Protocol):
    """Method of measuring the variants of a study."""

    def plan(self, study: Study, request: Request, budget: float, folder: Path) -> dict[str, Any]:
        """Return the JSON values that stay the same for all measurements of a study."""

    def measure(self, study: Study, plan: Mapping[str, Any], variant: Variant, seed: int, folder: Path) -> Outcome:
        """Measure one variant; ``folder`` is for its files, and may hold those of an interrupted attempt."""

    def draw(self, study: Study, results: Sequence[Result], path: Path) -> None:
        """Write the plot."""


@dataclass(frozen=True)
class StudyReport:
    """Files of a study.

    Attributes:
        page: File of the table in Markdown.
        plot: File of the plot (.png).
        num_measured: Number of measurements of this call; the others were finished before.
    """

    page: Path
    plot: Path
    num_measured: int

    def __str__(self) -> str:
        return f"{self.page.read_text(encoding='utf-8')}\ntable:   {self.page}\nplot:    {self.plot}"


def choose_method(name: str) -> Method:
    """Return the method of a study, whose module is imported here."""
    if name == "training":
        from studies.variant_training import TrainingMethod

        return TrainingMethod()
    if name == "people":
        from studies.people_timing import PeopleMethod

        return PeopleMethod()
    from studies.size_timing import SpeedMethod

    return SpeedMethod()


def run_study(
    study: Study,
    request: Request,
    work_dir: str | Path | None = None,
    *,
    method: Method | None = None,
    tell: Callable[[str], None] = print,
) -> StudyReport:
    """Run the missing measurements of a study.

    Args:
        study: Study to run.
        request: Options of the run. In an existing folder only the number of seeds may differ.
        work_dir: Folder of the study. Default: ``work_dirs/ablations/STUDY``, or ``STUDY_DATA`` for one that trains.
        method: Method of measuring. Default: the study's own.
        tell: Function that gets a line before each measurement.

    Raises:
        UserError: An option is wrong, or the folder holds results with other options.
    """
    study = choose_variants(study, request.variants)
    own = method or choose_method(study.method)
    folder = StudyFolder(work_dir or locate_default(study, request))
    with suppress_library_noise():
        plan = folder.settle_plan(
            _identify(study, request),
            lambda budget: {**own.plan(study, request, budget, folder.path), "versions": describe_versions()},
            DEFAULT_BUDGET,
        )
    cells = [(variant, seed) for seed in range(request.seeds) for variant in study.variants]
    missing = [(variant, seed) for variant, seed in cells if not folder.has(variant.name, seed)]
    for number, (variant, seed) in enumerate(missing, 1):
        tell(f"[{number}/{len(missing)}] {study.name}: {variant.label}, seed {seed}")
        started = time.monotonic()
        with suppress_library_noise():
            outcome = own.measure(study, plan, variant, seed, folder.make_run_dir(variant.name, seed))
        minutes = (time.monotonic() - started) / 60
        folder.write(Result(variant.name, seed, outcome.values, outcome.details, minutes, describe_hardware()))
        _publish(own, study, plan, folder)
    return _publish(own, study, plan, folder, len(missing))


def locate_default(study: Study, request: Request) -> Path:
    """Return the default folder of a study."""
    return Path("work_dirs/ablations", f"{study.name}_{request.data}" if study.method == "training" else study.name)


def _identify(study: Study, request: Request) -> dict[str, Any]:
    """Return the options that results must share to be comparable."""
    return {
        "study": study.name,
        "data": request.data,
        "budget": request.budget,
        "options": dict(request.options),
        "images": request.images,
        "epochs_wanted": request.epochs,
        "float32": request.float32 or None,
        "chosen": request.variants,
        "transfer_from": request.transfer_from,
        "teacher": request.teacher and list(request.teacher),
        "variants": {
            variant.name: {**variant.options, **({"training": dict(variant.training)} if variant.training else {})}
            for variant in study.variants
        },
        "settings": dict(study.settings),
    }


def _publish(
    method: Method, study: Study, plan: Mapping[str, Any], folder: StudyFolder, num_measured: int = 0
) -> StudyReport:
    """Write table and plot of the measurements so far."""
    results = folder.read_results()
    page, plot = folder.path / "table.md", folder.path / "plot.png"
    write_page(study, plan, results, page)
    method.draw(study, results, plot)
    return StudyReport(page, plot, num_measured)
