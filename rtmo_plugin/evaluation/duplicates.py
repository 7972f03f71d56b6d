"""Suppression of detections by OKS (as MMPose 1.3's ``nms_mode``), one image at a time.

Orders come from NumPy's default sort, whose order of equal scores is MMPose's as well.
"""

from __future__ import annotations

import numpy as np

from rtmo_plugin.evaluation.pairs import MAX_DETECTIONS

NMS_MODES = ("oks_nms", "soft_oks_nms", "none")
_TINY = np.spacing(1)


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
    oks = _compare_all(keypoints, areas, sigmas)
    return _suppress_hard(oks, scores, threshold) if mode == "oks_nms" else _suppress_soft(oks, scores, threshold)


def _compare_all(keypoints: np.ndarray, areas: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Return the OKS (N, N) of detections with each other, each pair by its mean area, in single precision."""
    offsets = keypoints[None] - keypoints[:, None]
    variances = (sigmas * 2) ** 2
    mean_areas = ((areas[:, None] + areas[None]) / 2 + _TINY)[..., None]
    distances = (offsets[..., 0] ** 2 + offsets[..., 1] ** 2) / variances / mean_areas / 2
    return (np.exp(-distances).sum(-1) / keypoints.shape[1]).astype(np.float32)


def _suppress_hard(oks: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    order, kept = np.argsort(scores)[::-1], []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[oks[best, order] <= threshold]
    return np.array(kept)


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
