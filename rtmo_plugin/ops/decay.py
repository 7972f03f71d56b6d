"""Exponential decay without denormal numbers, which are slow on processors."""

from __future__ import annotations

import torch
from torch import Tensor

# exp(-87) is just above float32's smallest normal number.  With smaller, denormal ones processors
# take ten times as long, and most priors are far from most people.
MAX_EXPONENT = 87.0


def decay(exponents: Tensor) -> Tensor:
    """Return exp(-x), and 1.6e-38 where it would be less.

    Args:
        exponents: x of any shape, float32 at least.

    Examples:
        >>> decay(torch.tensor([0.0, 1.0, 1000.0]))
        tensor([1.0000e+00, 3.6788e-01, 1.6458e-38])
    """
    return torch.exp(-exponents.clamp(max=MAX_EXPONENT))
