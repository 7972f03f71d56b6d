"""How often keypoints lie within their standard deviations, and a factor that makes these right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.analysis.measures.calibration import correlate_ranks
from rtmo_plugin.analysis.measures.study import Study
from rtmo_plugin.errors import DataError
from rtmo_plugin.uncertainty_calibration import UncertaintyCalibration

NORMAL_SHARES = (0.6827, 0.9545)  # of a normal distribution within one and two standard deviations


@dataclass(frozen=True)
class Coverage:
    """Shares of the coordinates within one and two standard deviations of the truth."""

    one: float
    two: float


@dataclass(frozen=True)
class UncertaintyResult:
    """A calibration fitted on half of the images, and its effect on the others.

    Attributes:
        calibration: Factor of the standard deviations.
        before: Shares on the held-out images without the factor.
        after: Shares on the held-out images with it.
        correlation: Spearman's, of standard deviation and distance from the truth, on the held-out images.
        num_keypoints: Number of keypoints of the held-out images.
    """

    calibration: UncertaintyCalibration
    before: Coverage
    after: Coverage
    correlation: float
    num_keypoints: int

    def describe(self) -> str:
        """Return a sentence."""
        return (
            f"{self.before.one:.1%} of the coordinates lie within one standard deviation of the truth and "
            f"{self.before.two:.1%} within two; with the factor {self.calibration.factor:.3f}, fitted on other images, "
            f"{self.after.one:.1%} and {self.after.two:.1%} ({self.num_keypoints} keypoints; rank correlation with the "
            f"error {self.correlation:.2f})"
        )


def calibrate_uncertainty(study: Study) -> UncertaintyResult | None:
    """Fit a factor on every other image, and measure it on those between; None without standard deviations.

    With the factor as many coordinates lie within one standard deviation as of a normal distribution. A share is not
    moved by keypoints that are far off, such as exchanged sides, and a mean of squares is.

    Args:
        study: Matched people and detections.

    Raises:
        DataError: One half of the images has no labeled keypoints that were found.
    """
    detections, truth = study.comparison.detections, study.comparison.truth
    if detections.deviations is None:
        return None
    people = truth.keypoints[study.pair_people]
    labeled = people[..., 2] > 0
    errors = np.abs(detections.keypoints[study.pair_rows] - people[..., :2])[labeled]
    deviations = detections.deviations[study.pair_rows][labeled]
    is_held_out = np.broadcast_to((detections.image[study.pair_rows] % 2 == 1)[:, None], labeled.shape)[labeled]
    if is_held_out.all() or not is_held_out.any():
        raise DataError(
            "The uncertainty cannot be calibrated: people must be found in two images or more, one after the other."
        )
    ratios = errors / np.maximum(deviations, np.spacing(1))
    factor = float(np.quantile(ratios[~is_held_out], NORMAL_SHARES[0]))
    held_out = ratios[is_held_out]
    distances, spreads = (np.sqrt(np.square(each[is_held_out]).sum(-1)) for each in (errors, deviations))
    return UncertaintyResult(
        UncertaintyCalibration(factor),
        _measure_coverage(held_out),
        _measure_coverage(held_out / factor),
        correlate_ranks(spreads, distances),
        int(is_held_out.sum()),
    )


def _measure_coverage(ratios: NDArray[Any]) -> Coverage:
    return Coverage(float((ratios <= 1).mean()), float((ratios <= 2).mean()))
