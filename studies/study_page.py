"""Results as a page in Markdown: mean and spread over the seeds, with command, machine and versions."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rtmo_plugin.files import write_file
from studies.definitions import Study
from studies.study_folder import Result

_EMPTY = "-"


def collect(results: Iterable[Result], variant: str, column: str) -> list[float]:
    """Return the values of a column for a variant, one per seed that has it."""
    return [each.values[column] for each in results if each.variant == variant and column in each.values]


def format_spread(values: Sequence[float], form: str) -> str:
    """Return mean and standard deviation, or one number if there is one value or all are equal.

    Examples:
        >>> format_spread([0.5, 0.75, 1.0], ".2f")
        '0.75 ± 0.25'
    """
    if not values:
        return _EMPTY
    mean = format(statistics.mean(values), form)
    if min(values) == max(values):
        return mean
    return f"{mean} ± {format(statistics.stdev(values), form)}"


def format_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


def write_page(study: Study, plan: Mapping[str, Any], results: Sequence[Result], path: Path) -> None:
    """Write the page of a study, whole or not at all."""
    parts = [f"# {study.title}", f"Claim: {study.claim}", make_table(study, results)]
    observed = make_observed_table(study, results)
    page = "\n\n".join([*parts, *([observed] if observed else []), write_caption(study, plan, results)]) + "\n"
    write_file(path, page)


def make_table(study: Study, results: Sequence[Result]) -> str:
    """Return a table with a row for each variant, measured or not."""
    rows = []
    for variant in study.variants:
        own = [result for result in results if result.variant == variant.name]
        cells = [format_spread(collect(own, variant.name, name), form) for name, form in study.columns.items()]
        minutes = format_spread([statistics.mean(each.minutes for each in own)], ".1f") if own else _EMPTY
        rows.append([variant.label, *cells, str(len(own)), minutes])
    return format_table([study.title, *study.columns, "seeds", "minutes each"], rows)


def make_observed_table(study: Study, results: Sequence[Result]) -> str:
    """Return the table of the learned sigmas by group, averaged over the seeds; empty if they were not observed."""
    if study.observe != "sigmas":
        return ""
    notes = [each.details["sigmas"] for each in results if each.variant == study.observed_variant]
    groups = dict.fromkeys(group for note in notes for group in note)
    rows = []
    for group in groups:
        found = [note[group] for note in notes if group in note]
        count = sum(each["count"] for each in found)
        means = [statistics.mean(each[name] for each in found) for name in ("sigma", "error")]
        correlations = [each["correlation"] for each in found if "correlation" in each]
        correlation = f"{statistics.mean(correlations):.2f}" if correlations else _EMPTY
        rows.append([group, str(count), *(f"{100 * value:.2f}" for value in means), correlation])
    heads = ["keypoints", "number", "expected error, %", "true error, %", "rank correlation"]
    return f"{format_table(heads, rows)}\n\n{_SIGMA_NOTE}" if rows else ""


_SIGMA_NOTE = (
    "Keypoints of people that were found (OKS at least .5). Errors are mean distances along an axis, relative to the "
    "person's size (root of the area); expected: twice sigma, the mean of the Laplace density that the loss assumes. "
    "The correlation is of both within the group."
)


def write_caption(study: Study, plan: Mapping[str, Any], results: Sequence[Result]) -> str:
    """Return the caption: command, measurement, machine and versions."""
    seeds = len({result.seed for result in results})
    total = sum(result.minutes for result in results)
    machines = dict.fromkeys(
        f"{each.hardware['processor']}, {each.hardware['cores']} cores, GPU: {each.hardware['gpu']}" for each in results
    )
    versions = ", ".join(f"{name} {value}" for name, value in plan.get("versions", {}).items())
    lines = [
        f"`{write_command(study, plan, seeds)}`",
        f"Mean ± standard deviation over the seeds. {plan.get('how', '')}".strip(),
        f"{total:.0f} minutes in all. {'; '.join(machines)}. {versions}.",
    ]
    return "\n".join(lines)


def write_command(study: Study, plan: Mapping[str, Any], seeds: int) -> str:
    """Return the command that repeats the study."""
    words = ["python tools/ablate.py", study.name]
    if study.method == "training":
        words += ["--data", plan["data"]]
        words += ["--data-root", plan["data_root"]] if plan.get("data_root") else []
        words += [] if plan.get("images") else ["--budget", f"{plan['budget']:g}"]
        words += ["--images", str(plan["images"])] if plan.get("images") else []
        words += ["--epochs", str(plan["epochs_wanted"])] if plan.get("epochs_wanted") else []
        words += ["--transfer-from", plan["transfer_from"]] if plan.get("transfer_from") else []
        words += ["--teacher", *plan["teacher"]] if plan.get("teacher") else []
        words += ["--float32"] if plan.get("float32") else []
        words += ["--variants", plan["chosen"]] if plan.get("chosen") else []
    words += ["--seeds", str(max(1, seeds))]
    options = [f"{name}={str(value).replace(' ', '')}" for name, value in plan["options"].items()]
    return " ".join([*words, *(["--cfg-options", *options] if options else [])])
