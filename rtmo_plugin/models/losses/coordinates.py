"""Losses on the coordinate distributions of the Dynamic Coordinate Classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtmo_plugin.models.losses.reduction import compute_mean
from rtmo_plugin.ops.decay import decay
from rtmo_plugin.registry import MODELS
from rtmo_plugin.structures import CoordinateDistribution

# Bounds what one hopeless keypoint can cost.
_MIN_LIKELIHOOD = 1e-4
# The learned scale is at least this, relative to sqrt(area).
MIN_SIGMA = 1e-3


def measure_bin_distances(bins: Tensor, targets: Tensor, areas: Tensor) -> Tensor:
    """Return how far each bin is from the label, relative to the person's size (at least one pixel).

    Args:
        bins: (N, X) coordinates.
        targets: (N, K) true coordinates.
        areas: (N,) pixels squared.

    Returns:
        (N, K, X).
    """
    size = areas.sqrt().clamp(min=1)[:, None, None]
    return (targets[..., None] - bins[:, None]).abs() / size


@MODELS.register_module()
class MLECCLoss(nn.Module):
    """Minus the log likelihood of the label under the predicted distribution (paper section 3.2).

    Each bin is the middle of a Laplace density whose scale is the predicted sigma, so that the
    likelihood of a label is the sum over bins of probability x density.  A density is not bounded by
    1: the loss may be negative.

    Args:
        learned_sigma: Use the predicted scale; otherwise ``fixed_sigma`` for all keypoints.
        fixed_sigma: Scale relative to sqrt(area) where it is not learned.
    """

    def __init__(self, learned_sigma: bool = True, fixed_sigma: float = 0.05) -> None:
        super().__init__()
        self.learned_sigma = learned_sigma
        self.fixed_sigma = fixed_sigma

    def forward(self, distribution: CoordinateDistribution, targets: Tensor, visible: Tensor, areas: Tensor) -> Tensor:
        """Return the loss averaged over keypoints, then over people.

        Args:
            distribution: Coordinate distributions of N people.
            targets: (N, K, 2) true keypoints, pixels.
            visible: (N, K) 1 where labeled.
            areas: (N,) pixels squared.

        Returns:
            A scalar, at least -2 log(1 / 1e-3) and at most -log(1e-4).
        """
        sigmas = distribution.sigmas
        if not self.learned_sigma:
            sigmas = torch.full_like(sigmas, self.fixed_sigma) + 0 * sigmas
        sigmas = sigmas.clamp(min=MIN_SIGMA)[..., None]
        sides = ((distribution.probs_x, distribution.bins_x), (distribution.probs_y, distribution.bins_y))
        likelihoods = []
        for axis, (probs, bins) in enumerate(sides):
            distances = measure_bin_distances(bins, targets[..., axis], areas)
            likelihoods.append((probs * decay(distances / sigmas / 2) / sigmas).sum(dim=-1))
        return compute_mean(-torch.log(likelihoods[0] * likelihoods[1] + _MIN_LIKELIHOOD) * visible)


@MODELS.register_module()
class KLCCLoss(nn.Module):
    """Kullback-Leibler divergence to a fixed Gaussian: what the paper's MLE loss is compared with.

    Args:
        sigma: Standard deviation of the Gaussian, relative to sqrt(area).

    Raises:
        ValueError: ``sigma`` is not positive.
    """

    def __init__(self, sigma: float = 0.05) -> None:
        super().__init__()
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma}.")
        self.sigma = sigma

    def forward(self, distribution: CoordinateDistribution, targets: Tensor, visible: Tensor, areas: Tensor) -> Tensor:
        """Return the divergence averaged over keypoints, then over people; arguments as ``MLECCLoss``."""
        divergence = 0.0 * distribution.sigmas
        for axis, (probs, bins) in enumerate(
            ((distribution.probs_x, distribution.bins_x), (distribution.probs_y, distribution.bins_y))
        ):
            distances = measure_bin_distances(bins, targets[..., axis], areas)
            log_truth = torch.log_softmax(-(distances / self.sigma).square() / 2, dim=-1)
            log_probs = probs.clamp(min=torch.finfo(probs.dtype).tiny).log()
            divergence = divergence + (log_truth.exp() * (log_truth - log_probs)).sum(dim=-1)
        return compute_mean(divergence * visible)
