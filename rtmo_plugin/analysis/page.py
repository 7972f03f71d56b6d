"""The page of an analysis: fills in the template ``page.html``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rtmo_plugin.analysis import charts
from rtmo_plugin.analysis.analysis_input import AnalysisInput
from rtmo_plugin.analysis.measures import Report
from rtmo_plugin.analysis.measures.costs import LEAST_COST, MEANINGS, TITLES
from rtmo_plugin.analysis.measures.study import KINDS
from rtmo_plugin.analysis.templates import render_template
from rtmo_plugin.analysis.training_plots import TrainingPlots
from rtmo_plugin.analysis.worst_images import SHOWN_SCORE, ShownImage
from rtmo_plugin.score_calibration import METADATA_KEY


def render_page(
    data: AnalysisInput, report: Report, worst: Sequence[ShownImage] = (), training: TrainingPlots | None = None
) -> str:
    """Return the page as HTML; names of files, images, classes and keypoints are escaped.

    Args:
        data: Input of the analysis.
        report: Results of the analysis.
        worst: Worst images.
        training: Plots of the training, if its work dir is known.
    """
    truth, result = data.comparison.truth, report.calibration
    change = 100 * (result.precision_after - result.precision_before)  # points of AP
    return render_template(
        "page.html",
        data=data,
        report=report,
        worst=worst,
        training=training,
        sizes={
            "images": len(truth.image_ids),
            "people": int((~truth.is_ignored).sum()),
            "detections": len(data.comparison.detections.scores),
        },
        charts={
            "costs": charts.draw_costs(report),
            "groups": charts.draw_groups(report),
            "keypoints": charts.draw_keypoints(report),
            "precision": charts.draw_precision(report),
            "reliability": charts.draw_reliability(report),
            "visibility": charts.draw_visibility(report),
        },
        correlation="-" if math.isnan(report.correlation) else f"{report.correlation:.3f}",  # may be negative
        change=change,
        is_worth_using=result.after.error < result.before.error and change > -100 * LEAST_COST,
        titles=TITLES,
        meanings=MEANINGS,
        kinds=KINDS,
        least_cost=LEAST_COST,
        shown_score=SHOWN_SCORE,
        metadata_key=METADATA_KEY,
    )
