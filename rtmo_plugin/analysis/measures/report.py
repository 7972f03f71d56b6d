"""Everything that the analysis says about one model on one data set, as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.analysis.measures.average_precision import average_precision
from rtmo_plugin.analysis.measures.calibration import (
    CalibrationResult,
    Reliability,
    calibrate,
    correlate_ranks,
    measure_reliability,
)
from rtmo_plugin.analysis.measures.costs import Cost, Finding, find_what_matters, measure_costs
from rtmo_plugin.analysis.measures.groups import (
    GroupResult,
    split_by_crowding,
    split_by_size,
    split_by_visibility,
)
from rtmo_plugin.analysis.measures.keypoint_errors import (
    KeypointResult,
    VisibilityResult,
    measure_keypoints,
    measure_visibility,
)
from rtmo_plugin.analysis.measures.keypoint_uncertainty import UncertaintyResult, calibrate_uncertainty
from rtmo_plugin.analysis.measures.study import Study, study
from rtmo_plugin.evaluation.oks_matching import OKS_THRESHOLDS, Matcher
from rtmo_plugin.evaluation.records import Comparison
from rtmo_plugin.structures import KeypointSchema

CURVES_AT = (0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Report:
    """What was found out; see the functions that these come from."""

    study: Study
    precision: float  # AP
    costs: list[Cost]
    findings: list[Finding]
    sizes: list[GroupResult]
    crowdings: list[GroupResult]
    counts: list[GroupResult]  # by the number of labeled keypoints
    keypoints: list[KeypointResult]
    visibility: VisibilityResult
    curves: dict[float, NDArray[Any]]  # precision (R,) at each of CURVES_AT
    reliability: Reliability
    correlation: float  # Spearman's, of score and OKS
    calibration: CalibrationResult
    uncertainty: UncertaintyResult | None  # of a model that returned the standard deviations of its keypoints


def analyze_comparison(comparison: Comparison, schema: KeypointSchema) -> Report:
    """Find out where the errors are.

    Args:
        comparison: People and detections of an evaluation.
        schema: Names and pairs of the keypoints.
    """
    known = study(comparison, schema.flip_pairs)
    costs = measure_costs(known)
    counted = ~known.is_neutral
    scores, oks = comparison.detections.scores[known.rows[counted]], known.matched_oks[counted]
    return Report(
        study=known,
        precision=average_precision(comparison),
        costs=costs,
        findings=find_what_matters(costs, known),
        sizes=split_by_size(comparison),
        crowdings=split_by_crowding(comparison),
        counts=split_by_visibility(comparison),
        keypoints=measure_keypoints(known, schema.names),
        visibility=measure_visibility(known),
        curves=_draw_curves(comparison),
        reliability=measure_reliability(scores, oks),
        correlation=correlate_ranks(scores, oks),
        calibration=calibrate(known),
        uncertainty=calibrate_uncertainty(known),
    )


def _draw_curves(comparison: Comparison) -> dict[float, NDArray[Any]]:
    """Return precision over recall, the mean of the categories that have people."""
    precision = Matcher(comparison).match().precision[..., 0]  # (T, R, C)
    there = precision[:, :, (precision > -1).any((0, 1))]
    if not there.shape[-1]:
        return {threshold: np.zeros(precision.shape[1]) for threshold in CURVES_AT}
    rows = {threshold: int(np.argmin(np.abs(OKS_THRESHOLDS - threshold))) for threshold in CURVES_AT}
    return {threshold: there[row].mean(-1) for threshold, row in rows.items()}
