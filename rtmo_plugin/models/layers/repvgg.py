"""RepVGG block: two branches to train, one convolution to deploy (arXiv 2101.03697)."""

from __future__ import annotations

import copy
from typing import Any

import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_activation_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights


class RepVGGBlock(BaseModule):
    """A 3x3 and a 1x1 convolution side by side, each with its norm; their sum is activated.

    As in RT-DETR and MMPose 1.3, the identity branch is left out.

    Args:
        channels: C, of the input and of the output.
        norm_cfg: Norm of each branch.
        act_cfg: Activation of the sum.
    """

    def __init__(self, channels: int, norm_cfg: dict[str, Any] | None, act_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.branch_3x3 = ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=None)
        self.branch_1x1 = ConvModule(channels, channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        self.act = build_activation_layer(act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        out: Tensor = self.act(self.branch_3x3(x) + self.branch_1x1(x))
        return out


def fold_repvgg(block: RepVGGBlock) -> nn.Conv2d:
    """Fold both branches of a block, with their norms' running statistics, into one 3x3 convolution.

    Args:
        block: Left as it is.

    Returns:
        A convolution for which ``block.act(conv(x))`` equals ``block(x)`` in eval mode.

    Raises:
        ValueError: The block's norm is not a BatchNorm: other norms depend on the input.
    """
    weight_3x3, bias_3x3 = fold_norm(block.branch_3x3)
    weight_1x1, bias_1x1 = fold_norm(block.branch_1x1)
    conv: nn.Conv2d = copy.deepcopy(block.branch_3x3.conv)
    conv.weight = nn.Parameter((weight_3x3 + F.pad(weight_1x1, (1, 1, 1, 1))).detach())
    conv.bias = nn.Parameter((bias_3x3 + bias_1x1).detach())
    return conv


def fold_norm(branch: ConvModule) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution that does what a convolution and its norm do in eval mode.

    Raises:
        ValueError: The norm is not a BatchNorm: other norms depend on the input.
    """
    conv, norm = branch.conv, branch.norm
    if norm is None:
        return conv.weight, conv.bias
    if not isinstance(norm, _BatchNorm):
        raise ValueError(f"Only BatchNorm can be folded into a convolution, got {type(norm).__name__}.")
    assert norm.running_mean is not None  # MMCV's layers keep running statistics
    assert norm.running_var is not None
    return fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
