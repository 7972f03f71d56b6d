"""Losses on class scores and keypoint visibility."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from rtmo_plugin.models.losses.reduction import compute_mean
from rtmo_plugin.registry import MODELS

# A target above this makes a prior positive.
_POSITIVE = 1e-4
# Logits are clipped to this before the cross entropy, so that it cannot run away.
_MAX_LOGIT = 10.0


@MODELS.register_module()
class VariFocalLoss(nn.Module):
    """Cross entropy with a soft target, weighted by it; negatives weighted down by their ease.

    Zhang et al., VarifocalNet (arXiv 2008.13367), equation 2.

    Args:
        alpha: Weight of the negatives.
        gamma: Exponent of the negatives' own probability.
    """

    def __init__(self, alpha: float = 0.75, gamma: float = 2.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the loss summed over priors and classes.

        Args:
            logits: (B, P, C).
            targets: (B, P, C) in 0..1, the quality on positives and 0 elsewhere.
            weights: (B, P, 1).

        Returns:
            A scalar.
        """
        is_negative = (targets <= _POSITIVE).to(logits.dtype)
        focus = self.alpha * logits.sigmoid().pow(self.gamma) * is_negative + targets
        clipped = logits.clamp(-_MAX_LOGIT, _MAX_LOGIT)
        entropy = F.binary_cross_entropy_with_logits(clipped, targets, reduction="none")
        return (entropy * focus * weights).sum()


@MODELS.register_module()
class VisibilityLoss(nn.Module):
    """Binary cross entropy of the keypoints' visibility, averaged over people and keypoints."""

    def forward(self, logits: Tensor, visible: Tensor, weights: Tensor) -> Tensor:
        """Compare (N, K) logits with (N, K) labels, weighted by (N, K); return a scalar."""
        entropy = F.binary_cross_entropy_with_logits(logits, visible, reduction="none")
        return compute_mean(entropy * weights)
