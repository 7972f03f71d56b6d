"""The last layer of a neck: one 1x1 convolution a level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn


class LevelProjector(BaseModule):
    """A 1x1 convolution with norm and without activation for each level.

    The convolutions stand in a plain ``nn.ModuleList`` on purpose: MMEngine's ``init_weights`` stops
    there, so they keep the Xavier-uniform values set here, as in MMPose 1.3.

    Args:
        num_levels: Levels.
        in_channels: Channels of the input, the same in each level.
        out_channels: o, channels of the output.
        norm_cfg: Norm of every convolution.
    """

    def __init__(self, num_levels: int, in_channels: int, out_channels: int, norm_cfg: dict[str, Any] | None) -> None:
        super().__init__(init_cfg={"type": "Xavier", "layer": "Conv2d", "distribution": "uniform"})
        self.convs = nn.ModuleList(
            ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None) for _ in range(num_levels)
        )

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Map (B, in_channels, H_i, W_i) to (B, o, H_i, W_i), level by level."""
        return tuple(conv(feature) for conv, feature in zip(self.convs, features))
