"""Priors, boxes, keypoints and bins: encode and decode as inverse pairs.

Shape letters as in ``rtmo_plugin.structures``; all coordinates are input pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rtmo_plugin.structures import Priors


def make_priors(
    shapes_hw: Sequence[tuple[int, int]],
    strides: Sequence[int],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Priors:
    """Lay out one prior at the middle of each cell, level by level and row by row.

    The middle of cell i is at ``i * stride + (stride - 1) / 2``: the center of the pixels it covers.

    Args:
        shapes_hw: Height and width of each feature map.
        strides: Pixels between two cells of each feature map.
        dtype: Type of the result.
        device: Device of the result.

    Returns:
        Priors of P = sum of height x width cells.

    Raises:
        ValueError: The numbers of strides and feature maps differ.

    Examples:
        >>> make_priors([(1, 2)], [16]).centers.tolist()
        [[7.5, 7.5], [23.5, 7.5]]
    """
    if len(shapes_hw) != len(strides):
        raise ValueError(f"{len(shapes_hw)} feature maps, but the head was built for strides {tuple(strides)}.")
    centers, repeated = [], []
    for (height, width), stride in zip(shapes_hw, strides):
        middle = (stride - 1) / 2
        y = torch.arange(height, dtype=dtype, device=device) * stride + middle
        x = torch.arange(width, dtype=dtype, device=device) * stride + middle
        centers.append(torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=-1).flatten(0, 1))
        repeated.append(torch.full((height * width,), float(stride), dtype=dtype, device=device))
    return Priors(torch.cat(centers), torch.cat(repeated))


def decode_boxes(deltas: Tensor, priors: Priors) -> Tensor:
    """Turn center offsets and log sizes, both in strides, into corners.

    Args:
        deltas: (..., P, 4) dx, dy, log w, log h.
        priors: Priors of the P predictions.

    Returns:
        (..., P, 4) x1, y1, x2, y2.
    """
    stride = priors.strides[:, None]
    center = deltas[..., :2] * stride + priors.centers
    half_size = deltas[..., 2:].exp() * stride / 2
    return torch.cat([center - half_size, center + half_size], dim=-1)


def encode_boxes(boxes_xyxy: Tensor, priors: Priors) -> Tensor:
    """Invert ``decode_boxes``: (..., P, 4) corners to (..., P, 4) deltas; an empty box is taken as 1e-8 strides."""
    stride = priors.strides[:, None]
    center = (boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2
    size = boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]
    return torch.cat([(center - priors.centers) / stride, torch.log(size / stride + 1e-8)], dim=-1)


def decode_keypoints(offsets_stride: Tensor, priors: Priors) -> Tensor:
    """Turn (..., P, K, 2) offsets from the prior, in strides, into (..., P, K, 2) pixels."""
    return offsets_stride * priors.strides[:, None, None] + priors.centers[:, None]


def encode_keypoints(keypoints: Tensor, priors: Priors) -> Tensor:
    """Invert ``decode_keypoints``."""
    return (keypoints - priors.centers[:, None]) / priors.strides[:, None, None]


def compute_iou(boxes_xyxy: Tensor, others_xyxy: Tensor) -> Tensor:
    """Return intersection over union of broadcastable (..., 4) boxes.

    For all pairs of (N, 4) and (M, 4) pass ``boxes[:, None]`` and ``others[None]``.  Two empty boxes
    have an IoU of 0: the union is taken as at least 1e-6, as MMPose 1.3 does.
    """
    top_left = torch.maximum(boxes_xyxy[..., :2], others_xyxy[..., :2])
    bottom_right = torch.minimum(boxes_xyxy[..., 2:], others_xyxy[..., 2:])
    overlap = (bottom_right - top_left).clamp(min=0).prod(dim=-1)
    union = compute_box_area(boxes_xyxy) + compute_box_area(others_xyxy) - overlap
    return overlap / union.clamp(min=1e-6)


def compute_box_area(boxes_xyxy: Tensor) -> Tensor:
    """Return width x height of (..., 4) boxes."""
    width, height = (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).unbind(dim=-1)
    return width * height


def get_centers_and_sizes(boxes_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """Split (..., 4) boxes into (..., 2) centers and (..., 2) widths and heights."""
    return (boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2, boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]


def allocate_bins(centers: Tensor, sizes: Tensor, num_bins: int) -> Tensor:
    """Spread bins evenly over intervals, both ends included (paper section 3.2, dynamic bin allocation).

    Args:
        centers: (N,) middle of each interval.
        sizes: (N,) length of each interval.
        num_bins: Number of bins in each interval.

    Returns:
        (N, num_bins) coordinates.
    """
    unit = torch.linspace(-0.5, 0.5, num_bins, dtype=centers.dtype, device=centers.device)
    return unit * sizes[:, None] + centers[:, None]
