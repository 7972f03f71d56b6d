"""Object keypoint similarity: one formula for the assigner, the losses and the class target."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rtmo_plugin.ops.decay import MAX_EXPONENT, decay

# An empty area would divide by zero; MMPose 1.3 takes its root as at least 1e-8.
_MIN_AREA = 1e-16
# Numbers in a chunk of the similarities of all pairs: few operators, and little memory.
_MAX_NUMBERS = 2**24


def compute_keypoint_similarity(keypoints: Tensor, targets: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """Return exp(-d^2 / (2 area (2 sigma)^2)) of each keypoint, as COCO's evaluation defines it.

    Args:
        keypoints: (..., K, 2) predicted.
        targets: (..., K, 2) true, broadcastable.
        areas: (...) pixels squared of the true person.
        sigmas: (K,) standard deviations relative to sqrt(area).

    Returns:
        (..., K) in 0..1.
    """
    squared_distance = (keypoints - targets).square().sum(dim=-1)
    variance = areas.clamp(min=_MIN_AREA)[..., None] * (2 * sigmas).square()
    return decay(squared_distance / (2 * variance))


def compute_oks(keypoints: Tensor, targets: Tensor, visible: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """Return the similarity averaged over the labeled keypoints; 0 for a person without any.

    Args:
        keypoints: (..., K, 2) predicted.
        targets: (..., K, 2) true.
        visible: (..., K) 1 where labeled.
        areas: (...) pixels squared.
        sigmas: (K,).

    Returns:
        (...) in 0..1.
    """
    similarity = compute_keypoint_similarity(keypoints, targets, areas, sigmas)
    return (similarity * normalize_visibility(visible)).sum(dim=-1)


@torch.no_grad()
def compute_pairwise_oks(keypoints: Tensor, targets: Tensor, visible: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """Return the OKS of every prior with every person of its image, without gradients.

    A few keypoints at a time: the (B, P, G, K, 2) differences would not fit a cache, often not a GPU.

    Args:
        keypoints: (B, P, K, 2) predicted.
        targets: (B, G, K, 2) true.
        visible: (B, G, K) 1 where labeled.
        areas: (B, G) pixels squared.
        sigmas: (K,).

    Returns:
        (B, P, G) in 0..1.
    """
    weights = normalize_visibility(visible)[:, None]
    divisors = areas.clamp(min=_MIN_AREA)[:, None, :, None] * (2 * sigmas).square() * -2  # (B, 1, G, K)
    (x, y), (true_x, true_y) = keypoints[:, :, None].unbind(dim=-1), targets[:, None].unbind(dim=-1)
    shape = (keypoints.shape[0], keypoints.shape[1], targets.shape[1])
    at_once = max(1, _MAX_NUMBERS // max(1, math.prod(shape)))
    oks = keypoints.new_zeros(shape)
    for chunk in (slice(first, first + at_once) for first in range(0, len(sigmas), at_once)):
        squared = (x[..., chunk] - true_x[..., chunk]).square_()
        dy = y[..., chunk] - true_y[..., chunk]
        similarity = squared.addcmul_(dy, dy).div_(divisors[..., chunk]).clamp_(min=-MAX_EXPONENT).exp_()
        oks += similarity.mul_(weights[..., chunk]).sum(dim=-1)
    return oks


def normalize_visibility(visible: Tensor) -> Tensor:
    """Return (..., K) weights that sum to 1 over the labeled keypoints, or all 0 without labeled keypoints."""
    return visible / visible.sum(dim=-1, keepdim=True).clamp(min=1e-8)
