"""Cross Stage Partial layers: part of the channels takes the long way (arXiv 1911.11929).

Blocks stand in a plain ``nn.Sequential`` on purpose.  MMEngine's ``init_weights`` stops there, so
their convolutions keep the Kaiming-uniform values of the estimator's ``init_cfg``, as in MMPose 1.3.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from rtmo_plugin.models.layers.repvgg import RepVGGBlock


class TwoLevelConv(ConvModule):
    """A 1 x 1 convolution, norm and activation of one map, or of a map below a coarser one.

    Upsampling to the nearest cell and a 1 x 1 convolution commute.  So the coarser map is convolved at its
    own size, a quarter of the multiplications, and the two are added instead of concatenated before.
    """

    def forward(self, x: Tensor, coarse: Tensor | None = None) -> Tensor:
        """Map (B, C, H, W), or (B, C - D, H, W) below (B, D, H/2, W/2), to (B, out_channels, H, W)."""
        if coarse is None:
            convolved: Tensor = super().forward(x)
            return convolved
        num_coarse, weight = coarse.shape[1], self.conv.weight
        above = F.interpolate(F.conv2d(coarse, weight[:, :num_coarse]), scale_factor=2.0, mode="nearest")
        x = above + F.conv2d(x, weight[:, num_coarse:], self.conv.bias)
        x = self.norm(x) if self.with_norm else x
        return self.activate(x) if self.with_activation else x


class CSPRepLayer(BaseModule):
    """RepVGG blocks beside a shortcut; the two are added (RT-DETR, arXiv 2304.08069, section 4.2).

    Args:
        in_channels: Channels of the input.
        out_channels: C, channels of the output.
        num_blocks: RepVGG blocks in a row.
        expansion: Width of the blocks relative to C; at 1 no last convolution is needed.
        norm_cfg: Norm of every convolution.
        act_cfg: Activation of every convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        num_blocks: int,
        expansion: float,
        norm_cfg: dict[str, Any] | None,
        act_cfg: dict[str, Any],
    ) -> None:
        super().__init__()
        hidden = int(out_channels * expansion)
        conv = partial(TwoLevelConv, kernel_size=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv1 = conv(in_channels, hidden)
        self.conv2 = conv(in_channels, hidden)
        self.bottlenecks = nn.Sequential(*(RepVGGBlock(hidden, norm_cfg, act_cfg) for _ in range(num_blocks)))
        self.conv3 = nn.Identity() if hidden == out_channels else conv(hidden, out_channels)

    def forward(self, x: Tensor, coarse: Tensor | None = None) -> Tensor:
        """Map (B, in_channels, H, W) to (B, C, H, W); a coarser map may hold the first channels."""
        out: Tensor = self.conv3(self.bottlenecks(self.conv1(x, coarse)) + self.conv2(x, coarse))
        return out


class CSPLayer(BaseModule):
    """Darknet bottlenecks beside a shortcut; the two are concatenated (YOLOX, arXiv 2107.08430).

    The bottlenecks have no identity connection of their own, as in the neck of YOLOX.

    Args:
        in_channels: Channels of the input.
        out_channels: C, channels of the output; the blocks are half as wide.
        num_blocks: Bottlenecks in a row.
        norm_cfg: Norm of every convolution.
        act_cfg: Activation of every convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        num_blocks: int,
        norm_cfg: dict[str, Any] | None,
        act_cfg: dict[str, Any],
    ) -> None:
        super().__init__()
        hidden = out_channels // 2
        conv = partial(ConvModule, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.main_conv = TwoLevelConv(in_channels, hidden, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.short_conv = TwoLevelConv(in_channels, hidden, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.final_conv = conv(2 * hidden, out_channels, 1)
        bottlenecks = (
            OrderedDict(conv1=conv(hidden, hidden, 1), conv2=conv(hidden, hidden, 3, padding=1))
            for _ in range(num_blocks)
        )
        self.blocks = nn.Sequential(*map(nn.Sequential, bottlenecks))

    def forward(self, x: Tensor, coarse: Tensor | None = None) -> Tensor:
        """Map (B, in_channels, H, W) to (B, C, H, W); a coarser map may hold the first channels."""
        long_way = self.blocks(self.main_conv(x, coarse))
        out: Tensor = self.final_conv(torch.cat([long_way, self.short_conv(x, coarse)], dim=1))
        return out
