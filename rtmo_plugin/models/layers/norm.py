"""Normalisation that survives batches with nobody, or one person, in them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PersonBatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation over people; of fewer than two it has no variance to learn from.

    It then uses its running statistics and leaves them unchanged, instead of raising as PyTorch does.
    A subclass, so that conversion to synchronised batch normalisation finds it.
    """

    def forward(self, people: Tensor) -> Tensor:
        """Normalise (N, C) features, N may be 0."""
        if not self.training or len(people) > 1:
            return super().forward(people)
        return F.batch_norm(people, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
