"""How well scores predict OKS, and a calibration that makes them do so."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import spearmanr

from rtmo_plugin.analysis.measures.average_precision import average_precision
from rtmo_plugin.analysis.measures.costs import select_detections
from rtmo_plugin.analysis.measures.study import Study
from rtmo_plugin.evaluation.records import Comparison
from rtmo_plugin.score_calibration import ScoreCalibration, make_features

NUM_BINS = 10
_RIDGE = 1e-3  # keeps the weights finite where scores separate right from wrong


@dataclass(frozen=True)
class Reliability:
    """Scores beside the OKS that came of them; false detections have an OKS of 0."""

    scores: NDArray[Any]  # (B,) mean of each bin, NaN for an empty one
    oks: NDArray[Any]  # (B,)
    counts: NDArray[Any]  # (B,)

    @property
    def error(self) -> float:
        """Mean distance between score and OKS over the detections (expected calibration error)."""
        if not self.counts.sum():
            return float("nan")
        return float(np.nansum(self.counts * np.abs(self.scores - self.oks)) / self.counts.sum())


@dataclass(frozen=True)
class CalibrationResult:
    """A calibration fitted on half of the images, and its effect on the others."""

    calibration: ScoreCalibration
    before: Reliability
    after: Reliability
    precision_before: float  # AP of the held-out images
    precision_after: float


def measure_reliability(scores: NDArray[Any], oks: NDArray[Any]) -> Reliability:
    """Return the mean score and OKS of ten bins of equal width.

    Args:
        scores: Scores (D,); those outside of 0 to 1 fall into the first or the last bin.
        oks: OKS (D,) of the detections.
    """
    place = np.clip((scores * NUM_BINS).astype(int), 0, NUM_BINS - 1)
    counts = np.bincount(place, minlength=NUM_BINS)
    divisor = np.where(counts > 0, counts, np.nan)
    mean_scores, mean_oks = (np.bincount(place, values, NUM_BINS) / divisor for values in (scores, oks))
    return Reliability(mean_scores, mean_oks, counts)


def correlate_ranks(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return Spearman's correlation; NaN where one of them does not vary.

    Examples:
        >>> round(correlate_ranks(np.array([1.0, 2.0, 2.0]), np.array([1.0, 4.0, 9.0])), 6)
        0.866025
    """
    if not len(first) or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second)[0])


def fit_calibration(scores: NDArray[Any], keypoint_scores: NDArray[Any], oks: NDArray[Any]) -> ScoreCalibration:
    """Fit a logistic regression with OKS as its soft target.

    Args:
        scores: Scores (D,), 0 to 1.
        keypoint_scores: Keypoint scores (D, K), 0 to 1.
        oks: OKS (D,) of the detections, 0 for false ones.
    """
    features = make_features(scores, keypoint_scores)
    ridge = _RIDGE * np.eye(features.shape[1])

    def compute_loss(weights: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        logits = features @ weights
        loss = (np.logaddexp(0, logits) - oks * logits).sum() + weights @ ridge @ weights / 2
        return float(loss), features.T @ (expit(logits) - oks) + ridge @ weights

    def compute_curvature(weights: NDArray[Any]) -> NDArray[Any]:
        predicted = expit(features @ weights)
        curvature: NDArray[Any] = (features * (predicted * (1 - predicted))[:, None]).T @ features + ridge
        return curvature

    fitted = minimize(compute_loss, [1.0, 0.0, 0.0], jac=True, hess=compute_curvature, method="trust-exact")
    return ScoreCalibration(*(float(weight) for weight in fitted.x))


def calibrate(study: Study) -> CalibrationResult:
    """Fit a calibration on every other image, and measure it on those between."""
    detections, counted = study.comparison.detections, ~study.is_neutral
    rows, oks = study.rows[counted], study.matched_oks[counted]
    is_held_out = detections.image[rows] % 2 == 1
    scores, keypoint_scores = detections.scores[rows], detections.keypoint_scores[rows]
    fitted_on = ~is_held_out
    calibration = fit_calibration(scores[fitted_on], keypoint_scores[fitted_on], oks[fitted_on])
    truth = study.comparison.truth  # people of the other images are ignored, detections there left out
    held_out = Comparison(
        dataclasses.replace(truth, is_ignored=truth.is_ignored | (truth.image % 2 == 0)),
        select_detections(detections, np.flatnonzero(detections.image % 2 == 1)),
        study.comparison.sigmas,
    )
    calibrated = dataclasses.replace(
        held_out.detections, scores=calibration.apply(held_out.detections.scores, held_out.detections.keypoint_scores)
    )
    after = calibration.apply(scores, keypoint_scores)
    return CalibrationResult(
        calibration,
        measure_reliability(scores[is_held_out], oks[is_held_out]),
        measure_reliability(after[is_held_out], oks[is_held_out]),
        average_precision(held_out),
        average_precision(dataclasses.replace(held_out, detections=calibrated)),
    )
