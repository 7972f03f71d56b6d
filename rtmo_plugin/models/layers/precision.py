"""A convolution that mixed precision leaves alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FullPrecisionConv2d(nn.Conv2d):
    """Convolve in the precision of the weights, also where autocast would take fewer bits.

    For maps that become coordinates: bfloat16 tells sizes apart by half a percent and offsets of two
    cells by a hundredth of one, which boxes and gradients show.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name in PyTorch)
        """Return (N, C_out, H', W') of (N, C_in, H, W), in the type of the weights."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.to(self.weight.dtype))
