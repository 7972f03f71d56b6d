"""Is the difference of two APs more than noise: images drawn again, with replacement (bootstrap)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtmo_plugin.analysis.measures.average_precision import WeightedPrecision
from rtmo_plugin.errors import DataError
from rtmo_plugin.evaluation.records import Comparison

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Two APs on the same images, and the confidence interval of their difference."""

    first: float
    second: float
    low: float  # of the 95 % interval of second - first
    high: float
    num_images: int
    num_draws: int

    @property
    def is_more_than_noise(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0

    def describe(self, first: str = "A", second: str = "B") -> str:
        """Return a sentence, in points of AP."""
        change = 100 * (self.second - self.first)
        higher, lower = (second, first) if change >= 0 else (first, second)
        what = (
            f"{higher} scores {abs(change):.2f} points of AP more than {lower}" if change else "Both have the same AP"
        )
        verdict = "more than noise" if self.is_more_than_noise else "no more than noise"
        return (
            f"{what}, which is {verdict}: the 95 % interval of {second} - {first} goes from {100 * self.low:+.2f} to "
            f"{100 * self.high:+.2f} ({self.num_images} images, drawn {self.num_draws} times)."
        )


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
