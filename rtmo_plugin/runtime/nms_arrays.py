"""Non-maximum suppression in NumPy, with the results of ``rtmo_plugin.ops.nms``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def suppress_duplicates(boxes: Floats, scores: Floats, iou_threshold: float) -> NDArray[np.intp]:
    """Keep each box that no better kept box overlaps by more than the threshold.

    Args:
        boxes: (N, 4) x1, y1, x2, y2.
        scores: (N,).
        iou_threshold: 0..1; at 1 nothing is suppressed.

    Returns:
        (M,) indices of the kept boxes, best first, ties in the order given.

    Examples:
        >>> boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]])
        >>> suppress_duplicates(boxes, np.array([0.5, 0.9, 0.7]), 0.65).tolist()
        [1, 2]
    """
    order = np.argsort(-scores, kind="stable")
    if iou_threshold >= 1 or len(order) < 2:
        return order
    is_suppressing = np.triu(_compute_iou(boxes[order]) > iou_threshold, 1)
    is_kept = np.ones(len(order), bool)
    while True:
        updated = ~(is_suppressing & is_kept[:, None]).any(axis=0)
        if (updated == is_kept).all():
            kept: NDArray[np.intp] = order[is_kept]
            return kept
        is_kept = updated


def _compute_iou(boxes: Floats) -> Floats:
    """Return the (N, N) overlaps of all pairs."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=-1)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    union = areas[:, None] + areas - overlap
    iou: Floats = overlap / np.maximum(union, 1e-6)
    return iou
