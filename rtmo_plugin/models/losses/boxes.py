"""Losses on boxes.  Both return a sum: the head divides by the number of positives of all ranks."""

from __future__ import annotations

from torch import Tensor, nn

from rtmo_plugin.ops.geometry import compute_iou
from rtmo_plugin.registry import MODELS

# Below this IoU is taken as this, so that the logarithm stays finite.
_MIN_IOU = 1e-16


@MODELS.register_module()
class IoULoss(nn.Module):
    """1 - IoU, 1 - IoU^2 or -log IoU, summed over boxes.

    Args:
        mode: ``"linear"``, ``"square"`` or ``"log"``.

    Raises:
        ValueError: Another mode.
    """

    def __init__(self, mode: str = "square") -> None:
        super().__init__()
        if mode not in ("linear", "square", "log"):
            raise ValueError(f"mode is 'linear', 'square' or 'log', got {mode!r}.")
        self.mode = mode

    def forward(self, boxes: Tensor, targets: Tensor) -> Tensor:
        """Compare (N, 4) boxes with (N, 4) targets, both x1, y1, x2, y2; return a scalar."""
        iou = compute_iou(boxes, targets).clamp(min=_MIN_IOU)
        if self.mode == "log":
            return -iou.log().sum()
        return (1 - (iou if self.mode == "linear" else iou.square())).sum()


@MODELS.register_module()
class BoxL1Loss(nn.Module):
    """Absolute difference of box deltas, summed over boxes and their four numbers."""

    def forward(self, deltas: Tensor, targets: Tensor) -> Tensor:
        """Compare (N, 4) deltas with (N, 4) targets, both in strides; return a scalar."""
        return (deltas - targets).abs().sum()
