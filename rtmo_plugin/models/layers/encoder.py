"""Transformer encoder on a feature map: every cell may look at every other (RT-DETR's AIFI).

Letters: B images, C channels, H x W cells of the map.
"""

from __future__ import annotations

from torch import Tensor, nn

from rtmo_plugin.ops.encoding import encode_cells


class MapEncoder(nn.Module):
    """A stack of post-norm encoder layers that reads and returns a feature map.

    Positions are computed from the map's size in every call, so any size fits, square or not, and
    the state dict holds weights alone.

    Args:
        channels: C, a multiple of 4 and of ``num_heads``.
        num_layers: Layers in a row; with 0 the map passes unchanged.
        num_heads: Attention heads.
        ffn_channels: Hidden width of the feed-forward networks.
        dropout: Probability to drop, for attention weights and in both residual branches.
        temperature: Ratio of the slowest to the fastest period of the sine encoding.

    Raises:
        ValueError: Channels that do not divide among heads and encodings.
    """

    def __init__(
        self,
        channels: int,
        num_layers: int = 1,
        num_heads: int = 8,
        ffn_channels: int = 1024,
        dropout: float = 0.0,
        temperature: float = 10000,
    ) -> None:
        super().__init__()
        if channels % 4 or channels % num_heads:
            raise ValueError(
                f"The encoder's channels must be a multiple of 4 and of num_heads={num_heads}, got {channels}."
            )
        self.channels, self.temperature = channels, temperature
        self.layers = nn.ModuleList(EncoderLayer(channels, num_heads, ffn_channels, dropout) for _ in range(num_layers))

    def forward(self, feature: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        shape_hw = (feature.shape[2], feature.shape[3])
        positions = encode_cells(shape_hw, self.channels, self.temperature, dtype=feature.dtype, device=feature.device)
        return self.attend(feature, positions.to(feature.dtype))

    def attend(self, feature: Tensor, positions: Tensor) -> Tensor:
        """Map (B, C, H, W), whose cells have (H x W, C) encoded positions, to (B, C, H, W)."""
        # Contiguous tokens keep the linear layers one matrix product; channels_last maps already are.
        tokens = feature.flatten(2).transpose(1, 2).contiguous()
        for layer in self.layers:
            tokens = layer(tokens, positions)
        return tokens.transpose(1, 2).reshape(feature.shape)


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each added to its input and then normalized."""

    def __init__(self, channels: int, num_heads: int, ffn_channels: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(channels, num_heads, dropout)
        self.ffn = FeedForward(channels, ffn_channels, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Map (B, H x W, C) tokens with (H x W, C) positions to (B, H x W, C) tokens."""
        tokens = self.norms[0](tokens + self.self_attn(tokens, positions))
        encoded: Tensor = self.norms[1](tokens + self.ffn(tokens))
        return encoded


class SelfAttention(nn.Module):
    """Multi-head attention whose queries and keys, but not values, know their positions (DETR).

    Attributes:
        is_fused: Whether PyTorch's fused kernel computes it, which ONNX has as operators since opset 14.
    """

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(channels, num_heads, dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.is_fused = True

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Map (B, H x W, C) tokens with (H x W, C) positions to the (B, H x W, C) residual."""
        placed = tokens + positions
        # Without weights to return, torch uses its fused attention kernel.
        residual: Tensor = self.dropout(self.attn(placed, placed, tokens, need_weights=not self.is_fused)[0])
        return residual


class FeedForward(nn.Module):
    """Two linear layers with GELU between; nested as MMCV's, for the names in the state dict."""

    def __init__(self, channels: int, hidden_channels: int, dropout: float) -> None:
        super().__init__()
        widen = nn.Sequential(nn.Linear(channels, hidden_channels), nn.GELU(), nn.Dropout(dropout))
        self.layers = nn.Sequential(widen, nn.Linear(hidden_channels, channels), nn.Dropout(dropout))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, H x W, C) tokens to the (B, H x W, C) residual."""
        residual: Tensor = self.layers(tokens)
        return residual
