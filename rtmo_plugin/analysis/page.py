"""The page: what was found out, in words, tables and charts."""

from __future__ import annotations

import math
from html import escape

from rtmo_plugin.analysis import charts
from rtmo_plugin.analysis.html import (
    Section,
    make_details,
    make_figure,
    make_page,
    make_paragraph,
    make_table,
    make_tiles,
)
from rtmo_plugin.analysis.material import Material
from rtmo_plugin.analysis.measures import Report
from rtmo_plugin.analysis.measures.findings import LEAST_COST, MEANINGS, TITLES
from rtmo_plugin.analysis.measures.study import KINDS
from rtmo_plugin.score_calibration import METADATA_KEY


def write_page(material: Material, report: Report, worst: str, training: str) -> str:
    """Return the whole page.

    Args:
        material: Input of the analysis.
        report: Results of the analysis.
        worst: Worst images, as HTML.
        training: Diagnostics of the training, as HTML.
    """
    sections = [
        Section("findings", "What matters", _write_findings(report)),
        Section("costs", "What each error costs", _write_costs(report)),
        Section("groups", "Where", _write_groups(report)),
        Section("keypoints", "Keypoints", _write_keypoints(report)),
        Section("precision", "Precision and recall", make_figure(charts.draw_precision(report))),
        Section("scores", "Scores", _write_scores(report)),
        Section("visibility", "Visibility", _write_visibility(report)),
        Section("worst", "Worst images", _write_worst(worst)),
        Section("training", "Training", training),
    ]
    return make_page("Where the errors are", f"{material.model} on {material.data}", _write_top(material), sections)


def _write_top(material: Material) -> str:
    truth = material.comparison.truth
    numbers = [(name.rpartition("/")[2], _format(value)) for name, value in material.metrics.items()]
    counts = [
        ("images", len(truth.image_ids)),
        ("people", int((~truth.is_ignored).sum())),
        ("detections", len(material.comparison.detections.scores)),
    ]
    return make_tiles([*numbers, *((name, f"{count:,}") for name, count in counts)])


def _format(value: float, digits: int = 3) -> str:
    """Return a number; a dash where there is none, which the COCO tools write as -1."""
    return "-" if math.isnan(value) or value < 0 else f"{value:.{digits}f}"


def _write_findings(report: Report) -> str:
    if not report.findings:
        return make_paragraph(f"No kind of error costs {100 * LEAST_COST:g} points of AP or more.")
    items = "".join(
        f'<li data-error="{each.name}"><b>{escape(each.title)}</b>: {escape(each.words)}</li>'
        for each in report.findings
    )
    words = f"Put right by itself, each of these would gain at least {100 * LEAST_COST:g} points of AP."
    return make_paragraph(words) + f'<ol class="findings">{items}</ol>'


def _write_costs(report: Report) -> str:
    rows = [
        (
            TITLES[each.name],
            MEANINGS[each.name],
            "-" if each.name == "ranking" else f"{each.count:,}",  # of which there is no number
            f"{each.alone:+.3f}",
            f"{each.in_turn:+.3f}",
        )
        for each in report.costs
    ]
    words = (
        "Kinds of errors after Ronchi and Perona (ICCV 2017), for detections that are matched with a person at an OKS "
        "of at least 0.1. “Alone” is the AP gained when only this kind is put right, “in turn” when those above it are "
        "right already. What is left to 1 are keypoints that count as good and are not quite in their place."
    )
    table = make_table(("error", "what it is", "how many", "alone", "in turn"), rows, num_words=2)
    return make_paragraph(words) + make_figure(charts.draw_costs(report)) + table


def _write_groups(report: Report) -> str:
    words = (
        "Below each pair of bars: how many people there are. False detections count by their own size and in their own "
        "image; by the number of keypoints they count in every group in full, so that AR compares better there."
    )
    tables = "".join(
        make_table(
            ("group", "people", "AP", "AR"),
            [(each.name, f"{each.num_people:,}", _format(each.precision), _format(each.recall)) for each in groups],
        )
        for groups in (report.sizes, report.crowdings, report.counts)
    )
    crowding = (
        "Crowding is CrowdPose's index: keypoints of others in a person's box for each of their own, averaged over the "
        "image; from the annotations where they have it, computed where not."
    )
    figure = make_figure(charts.draw_groups(report), crowding)
    return make_paragraph(words) + figure + make_details("the numbers", tables)


def _write_keypoints(report: Report) -> str:
    head = ("keypoint", "labelled", "mean OKS", "error, px", "error, % of size", *(f"{kind}, %" for kind in KINDS))
    rows = [
        (
            each.name,
            f"{each.num_labelled:,}",
            _format(each.oks),
            _format(each.error, 1),
            _format(100 * each.relative_error, 1),
            *(f"{100 * share:.1f}" for share in each.shares),
        )
        for each in report.keypoints
    ]
    words = "Errors are medians, in pixels of the image and in per cent of the square root of the person's area."
    return make_figure(charts.draw_keypoints(report)) + make_paragraph(words) + make_table(head, rows)


def _write_scores(report: Report) -> str:
    result = report.calibration
    correlation = "-" if math.isnan(report.correlation) else f"{report.correlation:.3f}"
    words = (
        "A score is calibrated when it is the OKS to be expected: then the points lie on the dashed line. "
        f"Rank correlation of score and OKS (Spearman): {correlation}. The bars show how many "
        "detections there are."
    )
    change = 100 * (result.precision_after - result.precision_before)
    is_better = result.after.error < result.before.error and change > -100 * LEAST_COST
    verdict = "worth using" if is_better else "not worth using"
    fitted = (
        f"A calibration fitted on every other image brings the mean distance from {_format(result.before.error)} "
        f"to {_format(result.after.error)} on those between, and changes their AP by {change:+.2f} points: {verdict}. "
        f"The option --calibration writes it to a file; an exported model carries it as metadata “{METADATA_KEY}”:"
    ).replace("--", "-\N{WORD JOINER}-\N{WORD JOINER}")  # an option's name is not broken between lines
    code = f"<p><code>{escape(result.calibration.to_json())}</code></p>"
    return make_paragraph(words) + make_figure(charts.draw_reliability(report)) + make_paragraph(fitted) + code


def _write_visibility(report: Report) -> str:
    found = report.visibility
    words = (
        "The keypoint scores of the people found, by COCO's label. Area under the ROC curve: "
        f"{_format(found.labelled)} for labelled against not labelled, {_format(found.visible)} for visible against "
        f"hidden. With “labelled” from a score of 0.5 on, {_format(100 * found.accuracy, 1)} % are right."
    )
    return make_paragraph(words) + make_figure(charts.draw_visibility(report))


def _write_worst(worst: str) -> str:
    if not worst:
        return make_paragraph("There is no image to show.")
    words = (
        "Left the people of the data set, right the detections with a score of at least 0.3, each in the color of its "
        "person. Images are ordered by the sum of 1 - OKS over their people, 1 for a missed one, and "
        "of the scores of false detections."
    )
    return make_paragraph(words) + f'<div class="worst">{worst}</div>'
