"""Fold a trained model into a cheaper one with the same outputs, for inference and for exported files.

Nothing here depends on a file format.  Every rule is exact up to rounding: norms are folded into the convolution or
linear layer before them, both branches of a RepVGG block into one convolution, the slices before the stem into its
kernel, wide poolings into a chain of narrow ones, and for a fixed input size the encoder's positions into a constant.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_weights

from rtmo_plugin.models.layers.csp import TwoLevelConv
from rtmo_plugin.models.layers.encoder import MapEncoder
from rtmo_plugin.models.layers.norm import PersonBatchNorm1d
from rtmo_plugin.models.layers.repvgg import RepVGGBlock, fold_norm, fold_repvgg
from rtmo_plugin.ops.encoding import encode_cells

# Row and column, within a 2 x 2 patch of pixels, of the four slices that Focus stacks.
_FOCUS_OFFSETS = ((0, 0), (1, 0), (0, 1), (1, 1))


def fold(model: nn.Module) -> nn.Module:
    """Return a copy of ``model``, in eval mode, with everything folded that does not depend on the input.

    Norms other than BatchNorm depend on the input, and stay.
    """
    folded = _fold_module(copy.deepcopy(model).eval())
    return folded.requires_grad_(False)


def _fold_module(module: nn.Module) -> nn.Module:
    """Return what replaces ``module``: the result of the first rule that applies, else itself with folded children."""
    for rule in _RULES:
        folded = rule(module)
        if folded is not None:
            return folded
    for name, child in module.named_children():
        setattr(module, name, _fold_module(child))
    return module


def _fold_block(block: nn.Module) -> nn.Module | None:
    """Fold both branches of a RepVGG block into one convolution."""
    if not isinstance(block, RepVGGBlock) or not all(map(_is_foldable_conv, (block.branch_3x3, block.branch_1x1))):
        return None
    return nn.Sequential(fold_repvgg(block), block.act)


def _is_foldable_conv(module: nn.Module) -> bool:
    return (
        isinstance(module, ConvModule)
        and module.order == ("conv", "norm", "act")
        and not module.with_explicit_padding
        and (not module.with_norm or isinstance(module.norm, nn.BatchNorm2d))
    )


def _fold_conv(module: Any) -> nn.Module | None:
    """Fold the norm of a convolution; of a ``TwoLevelConv`` in place, which keeps its two inputs."""
    if not _is_foldable_conv(module):
        return None
    weight, bias = fold_norm(module)
    conv = _replace_weights(module.conv, weight, bias)
    if isinstance(module, TwoLevelConv):
        module.conv = conv
        if module.with_norm:
            delattr(module, module.norm_name)
            module.with_norm = False
        return module
    folded: nn.Module = nn.Sequential(conv, module.activate) if module.with_activation else conv
    return folded


def _replace_weights(layer: Any, weight: Tensor, bias: Tensor | None) -> Any:
    """Return a copy of a convolution or linear layer with other weights."""
    changed = copy.copy(layer)
    changed._parameters = dict(layer._parameters)
    changed.weight = nn.Parameter(weight.detach())
    changed.bias = None if bias is None else nn.Parameter(bias.detach())
    return changed


def _fold_person_norm(module: nn.Module) -> nn.Module | None:
    """Fold the norm of (linear, norm). They stay two modules, because the classifier calls them one by one."""
    layers: list[Any] = [*module] if isinstance(module, nn.Sequential) else []
    if len(layers) != 2 or not isinstance(layers[0], nn.Linear) or not isinstance(layers[1], PersonBatchNorm1d):
        return None
    linear, norm = layers
    weight, bias = fuse_linear_bn_weights(
        linear.weight, linear.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return nn.Sequential(_replace_weights(linear, weight, bias), nn.Identity())


def _fold_focus(module: nn.Module) -> nn.Module | None:
    """Fold the slices and the k x k convolution of stride s of a stem into one 2k x 2k convolution of stride 2s."""
    from mmpose.models.backbones.csp_darknet import Focus

    if not isinstance(module, Focus) or not _is_foldable_conv(module.conv) or module.conv.groups != 1:
        return None
    weight, bias = fold_norm(module.conv)
    old = module.conv.conv
    channels, (height, width) = old.in_channels // 4, old.kernel_size
    spread = weight.new_zeros(old.out_channels, channels, 2 * height, 2 * width)
    for (row, column), part in zip(_FOCUS_OFFSETS, torch.split(weight.detach(), channels, dim=1)):
        spread[:, :, row::2, column::2] = part
    stride, padding = (tuple(2 * n for n in values) for values in (old.stride, old.padding))
    conv = nn.Conv2d(channels, old.out_channels, (2 * height, 2 * width), stride, padding)
    return nn.Sequential(_replace_weights(conv, spread, bias), module.conv.activate)


class PoolingChain(nn.Module):
    """Poolings of 5, 9, 13 pixels as three of 5 in a row, between the two convolutions of an SPP bottleneck.

    The maximum over a window of 9 is the maximum, over a window of 5, of maxima over windows of 5.
    """

    def __init__(self, conv1: nn.Module, conv2: nn.Module, kernel_sizes: list[int]) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv1, conv2
        steps = [after - before + 1 for before, after in pairwise([1, *kernel_sizes])]
        self.poolings = nn.ModuleList(nn.MaxPool2d(step, stride=1, padding=step // 2) for step in steps)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H, W)."""
        maps = [self.conv1(x)]
        for pooling in self.poolings:
            maps.append(pooling(maps[-1]))
        pooled: Tensor = self.conv2(torch.cat(maps, dim=1))
        return pooled


def _fold_pyramid(module: nn.Module) -> nn.Module | None:
    """Turn the parallel poolings of an SPP bottleneck into a chain."""
    from mmpose.models.backbones.csp_darknet import SPPBottleneck

    if not isinstance(module, SPPBottleneck):
        return None
    sizes = [pooling.kernel_size for pooling in module.poolings]
    if not all(after > before and after % 2 for before, after in pairwise([1, *sizes])):
        return None
    return PoolingChain(_fold_module(module.conv1), _fold_module(module.conv2), sizes)


_RULES: tuple[Callable[[nn.Module], nn.Module | None], ...] = (
    _fold_block,
    _fold_focus,
    _fold_pyramid,
    _fold_conv,
    _fold_person_norm,
)


class FixedMapEncoder(nn.Module):
    """A ``MapEncoder`` for maps of one size, whose positions are constants.

    Args:
        encoder: Its layers are shared.
        shape_hw: Height and width of the map in cells.
    """

    positions: Tensor

    def __init__(self, encoder: MapEncoder, shape_hw: tuple[int, int]) -> None:
        super().__init__()
        self.encoder, self.shape_hw = encoder, shape_hw
        positions = encode_cells(shape_hw, encoder.channels, encoder.temperature)
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, feature: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        return self.encoder.attend(feature, self.positions.to(feature.dtype))


def fix_size(neck: Any, size_wh: tuple[int, int]) -> Any:
    """Return a shallow copy of a neck for inputs of one size; necks other than ``HybridEncoder`` as they are.

    Args:
        neck: Neck of a folded model.
        size_wh: Width and height of the network's input, multiples of 32.
    """
    if not hasattr(neck, "encoder_levels"):
        return neck
    fixed: Any = copy.copy(neck)
    fixed._modules = dict(neck._modules)
    strides = [2**level for level in neck.encoder_levels]
    width, height = size_wh
    encoders = [FixedMapEncoder(each, (height // s, width // s)) for each, s in zip(neck.encoder, strides)]
    fixed.encoder = nn.ModuleList(encoders)
    return fixed
