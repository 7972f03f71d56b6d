"""The score of a detection, from those of its box and its keypoints (as MMPose 1.3's ``score_mode``).

Sums run keypoint by keypoint, in the precision in which MMPose's loops run: scores are sorted
later, and a rounding of another kind could exchange two of them.
"""

from __future__ import annotations

import numpy as np

SCORE_MODES = ("bbox", "bbox_keypoint", "bbox_rle", "keypoint")


def rescore(mode: str, scores: np.ndarray, keypoint_scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return the scores by which detections are ranked.

    Args:
        mode: ``bbox``: that of the box; ``keypoint``: the mean of the keypoints; ``bbox_keypoint``: the
            box times the mean of the keypoints above ``threshold``, 0 if there is none; ``bbox_rle``:
            the box plus the mean plus the highest of the keypoints.
        scores: (D,) of the boxes.
        keypoint_scores: (D, K).
        threshold: For ``bbox_keypoint``.

    Returns:
        (D,).
    """
    if mode == "bbox":
        ranked = scores
    elif mode == "keypoint":
        ranked = keypoint_scores.mean(1)
    elif mode == "bbox_rle":
        ranked = scores + keypoint_scores.mean(1) + keypoint_scores.max(1)
    else:
        ranked = scores * _average_above(keypoint_scores, threshold)
    return ranked


def _average_above(keypoint_scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return the mean of those of (D, K) scores above ``threshold``; 0 for a row that has none."""
    # What NumPy makes of `0 + score`, and compares with a threshold: double precision in its version 1,
    # the score's own in version 2, where a float32 of 0.2 is not above a threshold of 0.2.
    precision = (0 + keypoint_scores.dtype.type(0)).dtype
    is_counted = keypoint_scores.astype(precision) > threshold
    total = np.zeros(len(keypoint_scores), precision)
    for column, counted in zip(keypoint_scores.T, is_counted.T):
        total = total + np.where(counted, column, 0).astype(column.dtype)
    counts = is_counted.sum(1)
    return total / np.maximum(counts, 1).astype(total.dtype)
