"""Non-maximum suppression (NMS) without a loop over boxes.

Greedy NMS is the only fixed point of "a box is kept if no better *kept* box overlaps it too much".  Repeating that rule
reaches it in as many rounds as the longest chain of overlaps, which is short, instead of one round a box.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rtmo_plugin.ops.geometry import compute_iou


def apply_nms(boxes_xyxy: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Keep each box that no better kept box overlaps by more than the threshold.

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
    is_overlapping = _find_overlaps(boxes_xyxy[order], iou_threshold)
    is_kept = torch.ones_like(order, dtype=torch.bool)
    while True:
        updated = ~_find_overlapped(is_overlapping, is_kept)
        if torch.equal(updated, is_kept):
            return order[is_kept]
        is_kept = updated


def apply_nms_in_rounds(
    boxes_xyxy: Tensor, is_candidate: Tensor, iou_threshold: float, num_rounds: int
) -> tuple[Tensor, Tensor]:
    """Keep what ``apply_nms`` keeps, for a batch and with a fixed number of rounds, so that nothing waits for a result.

    Args:
        boxes_xyxy: (B, N, 4), best first.
        is_candidate: (B, N) bool, False for boxes that do not take part.
        iou_threshold: 0..1; at 1 every box is kept.
        num_rounds: Number of rounds, at least 1.

    Returns:
        (B, N) bool, which boxes are kept; and (B,) bool, whether the last round changed nothing, so that the result is
        that of ``apply_nms``.

    Examples:
        >>> boxes = torch.tensor([[[0.0, 0, 10, 9], [0, 0, 10, 10], [20, 0, 30, 10]]])
        >>> kept, is_settled = apply_nms_in_rounds(boxes, torch.tensor([[True, True, True]]), 0.65, 3)
        >>> kept.tolist(), is_settled.tolist()
        ([[True, False, True]], [True])
    """
    if iou_threshold >= 1:
        return is_candidate, torch.ones_like(is_candidate[:, 0])
    is_overlapping = _find_overlaps(boxes_xyxy, iou_threshold)
    before = is_kept = is_candidate
    for _ in range(num_rounds):
        before, is_kept = is_kept, is_candidate & ~_find_overlapped(is_overlapping, is_kept)
    return is_kept, (is_kept == before).all(dim=1)


def _find_overlaps(boxes_xyxy: Tensor, iou_threshold: float) -> Tensor:
    """Return (..., N, N) which of (..., N, 4) boxes, best first, overlaps which later one too much."""
    overlaps = compute_iou(boxes_xyxy[..., :, None, :], boxes_xyxy[..., None, :, :])
    return torch.triu(overlaps > iou_threshold, diagonal=1)


def _find_overlapped(is_overlapping: Tensor, is_kept: Tensor) -> Tensor:
    """Return (..., N) which boxes a better kept one overlaps."""
    return (is_overlapping & is_kept[..., None]).any(dim=-2)
