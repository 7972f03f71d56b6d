"""Gated attention unit: one layer that is attention and feed-forward both."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ScaleNorm(nn.Module):
    """Divide each token by its root mean square and multiply by one learned number.

    Nguyen and Salazar, Transformers without Tears (arXiv 1910.05895).
    """

    def __init__(self, num_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.root = num_channels**-0.5
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, tokens: Tensor) -> Tensor:
        """Normalize (..., C) tokens."""
        rms = torch.linalg.vector_norm(tokens, dim=-1, keepdim=True) * self.root
        normalized: Tensor = tokens / rms.clamp(min=self.eps) * self.g
        return normalized


class ChannelScale(nn.Module):
    """Multiply each channel by a learned number."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(num_channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Scale (..., C) tokens."""
        return tokens * self.scale


class GatedAttentionUnit(nn.Module):
    """Mix the tokens of a set by squared-ReLU attention, gated per channel, with a scaled residual.

    Hua et al., Transformer Quality in Linear Time (arXiv 2202.10447), section 2.2.

    Args:
        num_channels: C of the tokens.
        attention_channels: Width of queries and keys, which share one projection.
        expansion: Width of the gate and the values, relative to C.
    """

    def __init__(self, num_channels: int, attention_channels: int = 128, expansion: int = 2) -> None:
        super().__init__()
        self.widths = [expansion * num_channels, expansion * num_channels, attention_channels]
        self.gamma = nn.Parameter(torch.rand(2, attention_channels))
        self.beta = nn.Parameter(torch.rand(2, attention_channels))
        self.o = nn.Linear(self.widths[0], num_channels, bias=False)
        self.uv = nn.Linear(num_channels, sum(self.widths), bias=False)
        self.ln = ScaleNorm(num_channels)
        self.res_scale = ChannelScale(num_channels)
        nn.init.xavier_uniform_(self.uv.weight)

    def forward(self, tokens: Tensor, position: Tensor) -> Tensor:
        """Mix tokens.

        Args:
            tokens: (N, K, C).
            position: (K, attention_channels) added to queries and keys.

        Returns:
            (N, K, C).
        """
        gate, value, base = torch.split(nn.functional.silu(self.uv(self.ln(tokens))), self.widths, dim=-1)
        query = base * self.gamma[0] + (self.beta[0] + position)
        key = base * self.gamma[1] + (self.beta[1] + position)
        attention = torch.relu(torch.bmm(query, key.transpose(1, 2)) / self.widths[2] ** 0.5).square()
        mixed: Tensor = self.res_scale(tokens) + self.o(gate * torch.bmm(attention, value))
        return mixed
