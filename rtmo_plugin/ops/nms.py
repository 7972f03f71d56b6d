"""Non-maximum suppression (NMS) without a loop over boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from rtmo_plugin.ops.geometry import compute_iou


def apply_nms(boxes_xyxy: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Keep each box that no better kept box overlaps by more than the threshold.

    Greedy NMS is the only fixed point of "a box is kept if no better *kept* box overlaps it too much".
    Repeating that rule reaches it in as many rounds as the longest chain of overlaps, which is
    short, instead of one round a box.

    Args:
        boxes_xyxy: (N, 4).
        scores: (N,).
        iou_threshold: 0..1; at 1 every box is kept.

    Returns:
        (M,) indices of the kept boxes, best first, ties in the order given.

    Examples:
        >>> boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]])
        >>> apply_nms(boxes, torch.tensor([0.5, 0.9, 0.7]), 0.65).tolist()
        [1, 2]
    """
    order = scores.argsort(descending=True, stable=True)
    if iou_threshold >= 1 or len(order) < 2:
        return order
    ranked = boxes_xyxy[order]
    is_overlapping = torch.triu(compute_iou(ranked[:, None], ranked[None]) > iou_threshold, diagonal=1)
    is_kept = torch.ones_like(order, dtype=torch.bool)
    while True:
        updated = ~(is_overlapping & is_kept[:, None]).any(dim=0)
        if torch.equal(updated, is_kept):
            return order[is_kept]
        is_kept = updated
