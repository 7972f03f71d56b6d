"""Object keypoint similarity: one formula for the assigner, the losses and the class target."""

from __future__ import annotations

from torch import Tensor

from rtmo_plugin.ops.decay import decay

# An empty area would divide by zero; MMPose 1.3 takes its root as at least 1e-8.
_MIN_AREA = 1e-16


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


def compute_pairwise_oks(keypoints: Tensor, targets: Tensor, visible: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """Return the OKS of every prior with every person of its image.

    One keypoint at a time: the (B, P, G, K, 2) differences would not fit a cache, often not a GPU.

    Args:
        keypoints: (B, P, K, 2) predicted.
        targets: (B, G, K, 2) true.
        visible: (B, G, K) 1 where labeled.
        areas: (B, G) pixels squared.
        sigmas: (K,).

    Returns:
        (B, P, G) in 0..1.
    """
    weights = normalize_visibility(visible)
    oks = keypoints.new_zeros(keypoints.shape[0], keypoints.shape[1], targets.shape[1])
    for k in range(len(sigmas)):
        one = slice(k, k + 1)
        similarity = compute_keypoint_similarity(
            keypoints[:, :, None, one], targets[:, None, :, one], areas[:, None], sigmas[one]
        )
        oks = oks + similarity[..., 0] * weights[:, None, :, k]
    return oks


def normalize_visibility(visible: Tensor) -> Tensor:
    """Return (..., K) weights that sum to 1 over the labeled keypoints, or all 0 where there are none."""
    return visible / visible.sum(dim=-1, keepdim=True).clamp(min=1e-8)
