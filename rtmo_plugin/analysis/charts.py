"""The charts of the page, as SVG text for an HTML file."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rtmo_plugin.analysis.measures.costs import TITLES
from rtmo_plugin.analysis.measures.groups import GroupResult
from rtmo_plugin.analysis.measures.report import Report
from rtmo_plugin.analysis.measures.study import KINDS
from rtmo_plugin.evaluation.oks_matching import RECALL_THRESHOLDS

_COLORS = {
    "good": "#8fbc8f",
    "jitter": "#e9c46a",
    "inversion": "#2a7f9e",
    "swap": "#8e6bb0",
    "miss": "#c8553d",
    "duplicate": "#f4a261",
    "background": "#a0785a",
    "missed": "#6b2737",
    "ranking": "#5c6675",
}
_SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: small and searchable
    "text.parse_math": False,  # a keypoint's name may hold a dollar sign
    "svg.hashsalt": "rtmo",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_BLUE, _ORANGE, _GREEN = "#2f6db5", "#dd8452", "#55a868"


def _draw(words: str, size: tuple[float, float], draw: Callable[[Figure], None]) -> str:
    """Return what ``draw`` puts on a figure as SVG, with ``words`` for screen readers."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]  # HTML may not hold the XML declaration
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(words)}"', 1)


def draw_costs(report: Report) -> str:
    """Draw the AP, and what each kind of error takes from it."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        left = max(report.precision, 0.0)
        axes.barh(0, left, color=_COLORS["good"], label=f"AP {left:.3f}")
        for cost in report.costs:
            width = max(cost.in_turn, 0.0)
            axes.barh(0, width, left=left, color=_COLORS[cost.name], label=f"{TITLES[cost.name]} {cost.in_turn:+.3f}")
            left += width
        axes.set(xlim=(0, 1), yticks=[], xlabel="AP when the errors are corrected one after the other")
        axes.spines["left"].set_visible(False)
        axes.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=8)

    return _draw("AP and what each kind of error takes from it", (10, 1.9), draw)


def draw_groups(report: Report) -> str:
    """Draw AP and AR by size, crowding and number of keypoints."""
    panels = (
        ("size of person, px (square root of area)", report.sizes),
        ("crowding of the image", report.crowdings),
        ("labeled keypoints", report.counts),
    )

    def draw(figure: Figure) -> None:
        for axes, (title, groups) in zip(figure.subplots(1, 3, sharey=True), panels):
            _draw_bars(axes, groups)
            axes.set(title=title, ylim=(0, 1.08))
        figure.axes[0].legend(frameon=False, fontsize=8, loc="upper left")

    return _draw("AP and AR by size, crowding and number of labeled keypoints", (10, 3.2), draw)


def _draw_bars(axes: Any, groups: Sequence[GroupResult]) -> None:
    """Draw AP and AR of each group; a dash for -1, which stands for no people."""
    centers = np.arange(len(groups))
    for shift, name, color in ((-0.2, "precision", _BLUE), (0.2, "recall", _ORANGE)):
        values = [getattr(group, name) for group in groups]
        axes.bar(centers + shift, np.clip(values, 0, 1), 0.38, color=color, label={"precision": "AP"}.get(name, "AR"))
        for center, value in zip(centers, values):
            text = f"{value:.2f}".lstrip("0") if value >= 0 else "-"
            axes.text(center + shift, max(value, 0) + 0.01, text, ha="center", fontsize=8)
    axes.set_xticks(centers, [f"{group.name}\n{group.num_people:,}" for group in groups], fontsize=7)


def draw_keypoints(report: Report) -> str:
    """Draw the share of each kind of error for each keypoint."""
    keypoints = report.keypoints[::-1]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        names, left = [keypoint.name for keypoint in keypoints], np.zeros(len(keypoints))
        for index, kind in enumerate(KINDS):
            shares = np.array([keypoint.shares[index] for keypoint in keypoints])
            axes.barh(names, shares, left=left, color=_COLORS[kind], label=kind)
            left += shares
        axes.set(xlim=(0, 1), xlabel="share of the labeled keypoints of the people found")
        axes.legend(ncols=len(KINDS), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)

    return _draw("Kinds of errors by keypoint", (10, 1.2 + 0.2 * len(keypoints)), draw)


def draw_precision(report: Report) -> str:
    """Draw precision over recall at three thresholds of OKS."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for (threshold, values), color in zip(report.curves.items(), (_BLUE, _ORANGE, _GREEN)):
            shown = np.maximum(values, 0)
            axes.plot(RECALL_THRESHOLDS, shown, color=color, label=f"OKS {threshold:g}: AP {shown.mean():.3f}")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)

    return _draw("Precision over recall", (6.4, 3.6), draw)


def draw_reliability(report: Report) -> str:
    """Draw OKS over score: of all images, and of held-out images before and after calibration."""
    panels = (
        ("all images, original scores", report.reliability),
        ("held-out images, original scores", report.calibration.before),
        ("held-out images, calibrated scores", report.calibration.after),
    )

    def draw(figure: Figure) -> None:
        for axes, (title, reliability) in zip(figure.subplots(1, 3, sharey=True), panels):
            num_bins = len(reliability.counts)
            shares = reliability.counts / max(1, reliability.counts.max())  # of the detections
            axes.bar((np.arange(num_bins) + 0.5) / num_bins, 0.25 * shares, 0.9 / num_bins, color="#e3e6ea")
            axes.plot([0, 1], [0, 1], color="#9aa3af", linewidth=1, linestyle="--")
            axes.plot(reliability.scores, reliability.oks, marker="o", markersize=4, color=_BLUE)
            axes.set(title=f"{title}\nmean distance {reliability.error:.3f}", xlabel="score", xlim=(0, 1), ylim=(0, 1))
        figure.axes[0].set_ylabel("OKS, 0 for false detections")

    return _draw("OKS over score", (10, 3.4), draw)


def draw_visibility(report: Report) -> str:
    """Draw the keypoint scores by COCO's visibility label."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for (label, scores), color in zip(report.visibility.scores.items(), (_ORANGE, "#8e6bb0", _BLUE)):
            if len(scores):
                heights, edges = np.histogram(np.clip(scores, 0, 1), bins=25, range=(0, 1))
                axes.stairs(heights / len(scores), edges, color=color, label=f"{label} ({len(scores):,})")
        axes.set(xlim=(0, 1), xlabel="keypoint score", ylabel="share of the keypoints with the label")
        if axes.get_legend_handles_labels()[0]:  # Matplotlib warns of an empty legend: no person was found
            axes.legend(frameon=False)

    return _draw("Keypoint scores by visibility label", (6.4, 3.2), draw)


def draw_diagnostics(entries: Sequence[Mapping[str, Any]]) -> str:
    """Draw the positives of each level over the epochs, and the learned sigmas of the last one.

    Args:
        entries: Entries of ``engine.diagnostics.read_diagnostics``, at least one.
    """
    sigmas = {name: 100 * value for name, value in entries[-1]["sigmas"].items()}

    def draw(figure: Figure) -> None:
        levels, keypoints = figure.subplots(1, 2, width_ratios=(3, 2))
        epochs = [entry["epoch"] for entry in entries]
        for stride, color in zip(entries[-1]["positives"], (_BLUE, _ORANGE, _GREEN, _COLORS["swap"])):
            values = [entry["positives"].get(stride, 0) / entry["images"] for entry in entries]
            levels.plot(epochs, values, color=color, label=f"stride {stride}", marker=".")
        levels.set(xlabel="epoch", ylabel="positives per image", ylim=(0, None))
        levels.legend(frameon=False)
        keypoints.barh(list(sigmas)[::-1], list(sigmas.values())[::-1], color=_BLUE)
        keypoints.set(xlabel=f"sigma in epoch {entries[-1]['epoch']}, % of the person's size")

    return _draw("Positives by level, and learned sigma by keypoint", (10, 1.2 + 0.17 * max(len(sigmas), 10)), draw)
