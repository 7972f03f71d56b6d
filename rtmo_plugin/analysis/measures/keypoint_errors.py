"""Keypoint by keypoint: how far off, what kind of error, and whether the score tells what is visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from rtmo_plugin.analysis.measures.study import KINDS, Study


@dataclass(frozen=True)
class KeypointResult:
    """One keypoint of the people that were found."""

    name: str
    num_labeled: int
    oks: float  # mean similarity; all NaN where no person has it
    error: float  # median distance, in pixels
    relative_error: float  # median distance by the square root of the area
    shares: tuple[float, ...]  # of each of KINDS


def measure_keypoints(study: Study, names: tuple[str, ...]) -> list[KeypointResult]:
    """Return the result of each of the K keypoints."""
    detections, truth = study.comparison.detections, study.comparison.truth
    places = truth.keypoints[study.pair_people, :, :2]
    distances = np.sqrt(((detections.keypoints[study.pair_rows] - places) ** 2).sum(-1))
    relative = distances / np.sqrt(truth.areas[study.pair_people, None] + np.spacing(1))
    results = []
    for index, name in enumerate(names):
        chosen = study.kinds[:, index] >= 0
        counts = np.bincount(study.kinds[chosen, index], minlength=len(KINDS))
        is_found = bool(chosen.any())
        results.append(
            KeypointResult(
                name=name,
                num_labeled=int(counts.sum()),
                oks=float(np.mean(study.similarity[chosen, index])) if is_found else float("nan"),
                error=float(np.median(distances[chosen, index])) if is_found else float("nan"),
                relative_error=float(np.median(relative[chosen, index])) if is_found else float("nan"),
                shares=tuple((counts / max(1, counts.sum())).tolist()),
            )
        )
    return results


@dataclass(frozen=True)
class VisibilityResult:
    """Keypoint scores of the people that were found, as predictions of their visibility."""

    scores: dict[str, NDArray[Any]]  # by the label: "not labeled", "hidden", "visible"
    labeled: float  # area under the ROC curve, labeled against not; NaN without both
    visible: float  # visible against hidden
    accuracy: float  # of "labeled", at a score of 0.5


LABELS = ("not labeled", "hidden", "visible")  # COCO's 0, 1, 2


def measure_visibility(study: Study) -> VisibilityResult:
    """Compare keypoint scores with COCO's visibility labels."""
    scores = study.comparison.detections.keypoint_scores[study.pair_rows]
    labels = study.comparison.truth.keypoints[study.pair_people, :, 2].astype(int)
    by_label = {name: scores[labels == label] for label, name in enumerate(LABELS)}
    return VisibilityResult(
        by_label,
        measure_separation(scores[labels > 0], scores[labels == 0]),
        measure_separation(scores[labels == 2], scores[labels == 1]),
        float(((scores >= 0.5) == (labels > 0)).mean()) if scores.size else float("nan"),
    )


def measure_separation(high: NDArray[Any], low: NDArray[Any]) -> float:
    """Return how often one of ``high`` is above one of ``low`` (the area under the ROC curve); NaN without both.

    Examples:
        >>> measure_separation(np.array([0.9, 0.4]), np.array([0.1, 0.4]))
        0.875
    """
    if not len(high) or not len(low):
        return float("nan")
    above = mannwhitneyu(high, low, method="asymptotic").statistic  # the other method is slow, and for p-values alone
    return float(above / (len(high) * len(low)))
