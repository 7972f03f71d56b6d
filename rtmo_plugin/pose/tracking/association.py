"""Which pose of this frame is which pose of the last: OKS of all pairs, and the best pairs of all.

Shape letters: T expected poses, N seen poses, K keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.ops.arrays import Floats, detection_oks


@dataclass(frozen=True)
class Poses:
    """N poses to compare."""

    keypoints: Floats  # (N, K, 2) pixels
    keypoint_scores: Floats  # (N, K) 0..1
    areas: Floats  # (N,) pixels squared
    labels: NDArray[np.int64]  # (N,) class

    def compare(self, seen: Poses, sigmas: Floats, slack: Floats | None = None) -> Floats:
        """Return the OKS (T, N) of each pair, by the mean area of the two; 0 for different classes.

        Args:
            seen: N poses to compare these T with.
            sigmas: (K,) sigmas of the keypoints.
            slack: (T,) variance of the positions of these poses, in units of the area; it adds to that of the
                keypoints. Default: 0.
        """
        areas = (self.areas[:, None] + seen.areas) / 2
        return detection_oks(self, seen, areas, sigmas, 0.0 if slack is None else slack[:, None, None])


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
