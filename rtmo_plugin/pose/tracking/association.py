"""Which pose of this frame is which pose of the last: OKS of all pairs, and the best pairs of all.

Shape letters: T expected poses, N seen poses, K keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# Share of a person's box that is the person, as CrowdPose's evaluation assumes for people without an outline.
_AREA_OF_BOX = 0.53
_TINY = 1e-6  # so that poses without any sure keypoint have an average


@dataclass(frozen=True)
class Poses:
    """N poses to compare."""

    keypoints: Floats  # (N, K, 2) pixels
    scores: Floats  # (N, K) 0..1
    areas: Floats  # (N,) pixels squared
    labels: NDArray[np.int64]  # (N,) class


def measure_areas(boxes: Floats) -> Floats:
    """Return the areas (N,) of the people in boxes (N, 4), in pixels squared, at least those of a pixel."""
    sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    areas: Floats = _AREA_OF_BOX * sizes.prod(axis=-1)
    return areas


def compare_poses(expected: Poses, seen: Poses, sigmas: Floats, slack: Floats | float = 0.0) -> Floats:
    """Return the OKS (T, N) of each pair, keypoints weighted by both scores; 0 for different classes.

    Args:
        expected: T expected poses.
        seen: N seen poses.
        sigmas: (K,) sigmas of the keypoints.
        slack: (T,) variance of the expected places, in units of the area; it adds to that of the keypoints.
    """
    areas = (expected.areas[:, None] + seen.areas) / 2
    offsets = expected.keypoints[:, None] - seen.keypoints
    distances = np.square(offsets).sum(axis=-1) / areas[..., None]
    variances = np.square(2 * sigmas) + np.reshape(slack, (-1, 1, 1))
    weights = expected.scores[:, None] * seen.scores + _TINY
    oks = (weights * np.exp(-distances / (2 * variances))).sum(axis=-1) / weights.sum(axis=-1)
    similarities: Floats = np.where(expected.labels[:, None] == seen.labels, oks, 0.0)
    return similarities


def match_best(similarities: Floats, minimum: float) -> list[tuple[int, int]]:
    """Return the pairs of a row and a column whose similarities have the largest sum, each used once.

    Args:
        similarities: (T, N) 0..1.
        minimum: Similarity below which pairs are left out.

    Examples:
        >>> match_best(np.array([[0.9, 0.8], [0.8, 0.0]]), 0.1)
        [(0, 1), (1, 0)]
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, and only tracking needs it

    is_possible = similarities >= minimum
    rows, columns = linear_sum_assignment(np.where(is_possible, similarities, 0.0), maximize=True)
    return [(int(row), int(column)) for row, column in zip(rows, columns) if is_possible[row, column]]
