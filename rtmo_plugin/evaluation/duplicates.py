"""Suppression of detections by OKS (as MMPose 1.3's ``nms_mode``), one image at a time.

Orders come from NumPy's default sort, whose order of equal scores is MMPose's as well.
"""

from __future__ import annotations

import numpy as np

from rtmo_plugin.evaluation.pairs import MAX_DETECTIONS
from rtmo_plugin.ops.arrays import greedy_nms, keypoint_similarity

NMS_MODES = ("oks_nms", "soft_oks_nms", "none")


def suppress(
    mode: str, keypoints: np.ndarray, scores: np.ndarray, areas: np.ndarray, sigmas: np.ndarray, threshold: float
) -> np.ndarray:
    """Return the detections of one image that are kept.

    Args:
        mode: Kind of suppression. ``oks_nms`` drops detections whose OKS with a better one is above
            ``threshold``. ``soft_oks_nms`` drops none of the best 20, but chooses detections that are like a
            better one later; scores stay as they are. ``none`` keeps all.
        keypoints: Keypoints (N, K, 2).
        scores: Scores (N,).
        areas: Areas (N,) in square pixels.
        sigmas: Sigmas (K,) of the keypoints.
        threshold: Largest OKS, or for ``soft_oks_nms`` the width of the decay.

    Returns:
        Indices of those that are kept, best first.
    """
    if mode == "none" or not len(scores):
        return np.arange(len(scores))
    # each pair by its mean area, in single precision
    similarities = keypoint_similarity(keypoints[None] - keypoints[:, None], (areas[:, None] + areas) / 2, sigmas)
    oks = (similarities.sum(-1) / keypoints.shape[1]).astype(np.float32)
    if mode == "soft_oks_nms":
        return _suppress_soft(oks, scores, threshold)
    order = np.argsort(scores)[::-1]
    kept: np.ndarray = order[greedy_nms(oks[np.ix_(order, order)] > threshold)]
    return kept


def _suppress_soft(oks: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    order, kept = np.argsort(scores)[::-1], []
    scores = scores[order]
    while len(order) and len(kept) < MAX_DETECTIONS:
        best, order = order[0], order[1:]
        kept.append(best)
        scores = scores[1:] * np.exp(-(oks[best, order] ** 2) / threshold)
        again = np.argsort(scores)[::-1]
        order, scores = order[again], scores[again]
    return np.array(kept)
