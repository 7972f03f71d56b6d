"""Normalization for batches that may hold one person or none."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PersonBatchNorm1d(nn.BatchNorm1d):
    """Batch normalization over people; with fewer than two people, running statistics are used.

    It then uses its running statistics and leaves them unchanged, instead of raising as PyTorch does.
    A subclass, so that conversion to synchronized batch normalization finds it.
    """

    def forward(self, people: Tensor) -> Tensor:
        """Normalize (N, C) features, N may be 0."""
        if not self.training or len(people) > 1:
            return super().forward(people)
        return F.batch_norm(people, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
