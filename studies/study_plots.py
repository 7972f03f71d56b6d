"""Plots of the studies that train."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.plotting import COLORS, GRAY, draw_figure
from studies.definitions import Study
from studies.study_folder import Result
from studies.study_page import collect


def draw_variants(study: Study, results: Sequence[Result], path: Path) -> None:
    """Draw the AP of each variant: a point for each seed, and the mean."""
    draw_figure(path, _choose_size(study), lambda figure: _draw_precision(figure.subplots(), study, results))


def draw_sigmas(study: Study, results: Sequence[Result], path: Path) -> None:
    """Draw the AP of each variant, and the true error over the error that sigma predicts."""

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _draw_precision(left, study, results)
        notes = [each.details["sigmas"] for each in results if each.variant == study.observed_variant]
        _draw_expected(right, notes)

    draw_figure(path, (10, 3.2), draw)


def draw_levels(study: Study, results: Sequence[Result], path: Path) -> None:
    """Draw the AP of each variant, the computation of its head, and the level of its detections."""

    def draw(figure: Any) -> None:
        first, second, third = figure.subplots(1, 3, width_ratios=(3, 2, 2), sharey=True)
        _draw_precision(first, study, results)
        _draw_stack(second, study, results, ["head GFLOPs"])
        levels = [name for name in study.columns if name.startswith("found on")]
        _draw_stack(third, study, results, levels)
        second.set_xlabel("GFLOPs of the head")
        third.set_xlabel("people found, %")
        names = [name.split()[2].rstrip(",") for name in levels]
        third.legend(names, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize=8)

    draw_figure(path, (10, _choose_size(study)[1]), draw)


def _choose_size(study: Study) -> tuple[float, float]:
    return 7.0, 1.2 + 0.4 * len(study.variants)


def _draw_precision(axes: Any, study: Study, results: Sequence[Result]) -> None:
    for place, variant in enumerate(study.variants):
        values = collect(results, variant.name, "AP")
        axes.plot(values, [place] * len(values), "o", color=COLORS[0], alpha=0.5, markersize=5)
        if values:
            axes.plot(statistics.mean(values), place, "|", color=COLORS[4], markersize=18, markeredgewidth=2)
    axes.set_yticks(range(len(study.variants)), [variant.label for variant in study.variants])
    axes.set(xlabel="AP: a point for each seed, a line at the mean", ylim=(len(study.variants) - 0.5, -0.5))
    axes.grid(axis="x", alpha=0.3)


def _draw_stack(axes: Any, study: Study, results: Sequence[Result], columns: Iterable[str]) -> None:
    left = np.zeros(len(study.variants))
    for column, color in zip(columns, COLORS):
        found = [collect(results, variant.name, column) for variant in study.variants]
        widths = np.array([statistics.mean(values) if values else 0.0 for values in found])
        axes.barh(range(len(widths)), widths, 0.6, left=left, color=color)
        left += widths


def _draw_expected(axes: Any, notes: Sequence[Mapping[str, Mapping[str, float]]]) -> None:
    """Draw groups of keypoints by expected and true error, percent of the person's size."""
    groups = dict.fromkeys(name for note in notes for name in note if name != "all")
    quintiles = [name for name in groups if "quintile" in name]
    others = [[name] for name in groups if name not in quintiles]
    highest = 0.0
    for members, marker, color in zip([quintiles, *others], "oDDssss", COLORS):
        if not members:
            continue
        means = []
        for name in members:
            found = [note[name] for note in notes if name in note]
            means.append([100 * statistics.mean(each[key] for each in found) for key in ("sigma", "error")])
        label = "fifths of all, by sigma" if members is quintiles else members[0].removeprefix("of ")
        axes.plot(*zip(*means), marker, color=color, markersize=5, label=label)
        highest = max(highest, *itertools.chain(*means))
    axes.plot([0, highest], [0, highest], color=GRAY, linestyle="--", linewidth=1)
    axes.set(xlabel="error that sigma expects, %", ylabel="true error, %")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=7)
