"""OKS between detections and people, digit for digit as the COCO tools compute it.

``ops.oks`` has the same formula for training, on tensors and in single precision.  Here a match
is a comparison with a threshold, so that the last digit can decide: double precision, and every
operation in the order in which the COCO tools do it, for many pairs at once.
"""

from __future__ import annotations

import numpy as np

from rtmo_plugin.evaluation.records import GroundTruth

_NUM_PAIRS_AT_ONCE = 1 << 15  # bounds the memory: 35 MB for 133 keypoints
_TINY = np.spacing(1)


def compute_oks(points: np.ndarray, truth: GroundTruth, people: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Return the OKS of each pair of a detection and a person.

    A person without visible keypoints is compared by box: keypoints within twice its size count as
    hits.

    Args:
        points: Keypoints (M, K, 2) of the detections, in pixels.
        truth: People of the data set.
        people: Index (M,) of the person that each detection is compared with.
        sigmas: Sigmas (K,) of the keypoints.

    Returns:
        OKS (M,) between 0 and 1.
    """
    variances = (sigmas * 2) ** 2  # in the precision of the sigmas, which is single in MMPose's metainfo
    starts = range(0, len(people), _NUM_PAIRS_AT_ONCE)
    parts = [slice(start, start + _NUM_PAIRS_AT_ONCE) for start in starts]
    return np.concatenate(
        [np.empty(0), *(_compute_part(points[part], truth, people[part], variances) for part in parts)]
    )


def _compute_part(points: np.ndarray, truth: GroundTruth, people: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return the OKS of a bounded number of pairs."""
    is_visible = truth.keypoints[people, :, 2] > 0
    counts = is_visible.sum(1)
    offsets = points - truth.keypoints[people, :, :2]
    is_unlabelled = counts == 0
    offsets[is_unlabelled] = _measure_outside(points[is_unlabelled], truth.boxes_xywh[people[is_unlabelled]])
    counted = is_visible | is_unlabelled[:, None]
    areas = truth.areas[people, None] + _TINY
    distances = (offsets[..., 0] ** 2 + offsets[..., 1] ** 2) / variances / areas / 2
    return _average(np.exp(-distances), counted)


def _measure_outside(points: np.ndarray, boxes_xywh: np.ndarray) -> np.ndarray:
    """Return how far (M, K, 2) points lie outside of (M, 4) boxes made three times as large, on each axis."""
    corner, size = boxes_xywh[:, None, :2], boxes_xywh[:, None, 2:]
    low, high = corner - size, corner + size * 2
    return np.maximum(0, low - points) + np.maximum(0, points - high)


def _average(similarities: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Return the mean of the counted of each row.

    Rows of equally many are summed together and without gaps: NumPy's order of summation depends on
    how many numbers there are, and would be another with zeros in between.
    """
    counts = counted.sum(1)
    means = np.empty(len(counts))
    for count in np.unique(counts):
        rows = counts == count
        means[rows] = similarities[rows][counted[rows]].reshape(-1, count).sum(1) / count
    return means
