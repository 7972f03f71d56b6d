"""AP of weighted images: how sure an AP is, and whether the difference of two is more than noise (bootstrap).

Matching happens within an image, so it happens once; what changes from draw to draw is how often
each image counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.analysis.measures.study import find_matches
from rtmo_plugin.errors import DataError
from rtmo_plugin.evaluation.oks_matching import OKS_THRESHOLDS, RECALL_THRESHOLDS
from rtmo_plugin.evaluation.records import Comparison, Difference
from rtmo_plugin.ops.arrays import UNMATCHED


@dataclass(frozen=True)
class _Ranking:
    """One category: its D detections, best first."""

    image: NDArray[Any]  # (D,)
    counts: NDArray[Any]  # (T, D) is not matched with an ignored person
    hits: tuple[NDArray[Any], ...]  # T times the indices of the detections that are right
    num_people: NDArray[Any]  # (I,) to be found in each image


class WeightedPrecision:
    """The AP of a comparison as a function of how often each image counts.

    Args:
        comparison: People and detections.
    """

    def __init__(self, comparison: Comparison) -> None:
        truth, detections = comparison.truth, comparison.detections
        matches = find_matches(comparison, OKS_THRESHOLDS)
        is_matched = matches.person != UNMATCHED
        is_ignored = is_matched & truth.is_ignored[matches.person] if len(truth.is_ignored) else is_matched
        self._rankings = []
        for category in range(len(truth.category_ids)):
            chosen = np.flatnonzero(detections.category[matches.rows] == category)
            chosen = chosen[np.argsort(-detections.scores[matches.rows[chosen]], kind="stable")]
            people = truth.image[(truth.category == category) & ~truth.is_ignored]
            hits = (is_matched & ~is_ignored)[:, chosen]
            self._rankings.append(
                _Ranking(
                    detections.image[matches.rows[chosen]],
                    ~is_ignored[:, chosen],
                    tuple(np.flatnonzero(each) for each in hits),
                    np.bincount(people, minlength=len(truth.image_ids)),
                )
            )

    def average(self, weights: NDArray[Any]) -> float:
        """Return the AP, -1 for data without people.

        Args:
            weights: Number of times (I,) that each image counts; all 1 for the metric's own number.
        """
        found = []
        for ranking in self._rankings:
            num_people = float(ranking.num_people @ weights)
            if num_people:
                each, columns = weights[ranking.image].astype(np.float64), zip(ranking.counts, ranking.hits)
                found.append(np.mean([_interpolate(each, counts, hits, num_people) for counts, hits in columns]))
        return float(np.mean(found)) if found else -1.0


def average_precision(comparison: Comparison) -> float:
    """Return the AP, -1 for data without people."""
    return WeightedPrecision(comparison).average(np.ones(len(comparison.truth.image_ids)))


def _interpolate(each: NDArray[Any], counts: NDArray[Any], hits: NDArray[Any], num_people: float) -> float:
    """Return the mean precision over the thresholds of recall, from the right detections only.

    Precision rises at these and nowhere else.
    """
    found = np.cumsum(each[hits])
    shown = np.cumsum(each * counts)[hits]
    precision = found / np.maximum(shown, np.spacing(1))
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(best[np.searchsorted(found / num_people, RECALL_THRESHOLDS, side="left")].mean())


_CONFIDENCE = 0.95


def compare(first: Comparison, second: Comparison, num_draws: int = 1000, seed: int = 0) -> Difference:
    """Compare two models on the same images, drawn alike for both.

    Args:
        first: Comparison of the first model.
        second: Comparison of the second model.
        num_draws: Number of times that all images are drawn.
        seed: Seed of the draws.

    Raises:
        DataError: They were not evaluated on the same images.
    """
    if first.truth.image_ids != second.truth.image_ids:
        raise DataError("The two results are of different images: compare models on the same data set.")
    averages = [WeightedPrecision(each).average for each in (first, second)]
    num_images = len(first.truth.image_ids)
    random = np.random.default_rng(seed)
    differences = np.empty(num_draws)
    for index in range(num_draws):
        weights = np.bincount(random.integers(0, num_images, num_images), minlength=num_images)
        before, after = (average(weights) for average in averages)
        differences[index] = after - before if min(before, after) >= 0 else np.nan
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.nanquantile(differences, [tail, 1 - tail])
    before, after = (average(np.ones(num_images)) for average in averages)
    return Difference(before, after, float(low), float(high), num_images, num_draws)
