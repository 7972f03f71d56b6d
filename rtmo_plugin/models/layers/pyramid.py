"""Feature pyramids P3, P4, P5 (strides 8, 16, 32): levels, checks, and the two ways through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

LEVELS = (3, 4, 5)
_BACKBONE_CHANNELS = (256, 512, 1024)

Layer = Callable[[Tensor], Tensor]
TwoLevelLayer = Callable[[Tensor, Tensor], Tensor]


def resolve_channels(in_channels: Sequence[int] | None, widen_factor: float) -> tuple[int, ...]:
    """Return the channels of P3 to P5: those given, or those of a CSPDarknet of a width.

    Raises:
        ValueError: Numbers and levels differ in count.
    """
    if in_channels is None:
        return tuple(int(channels * widen_factor) for channels in _BACKBONE_CHANNELS)
    if len(in_channels) != len(LEVELS):
        raise ValueError(f"in_channels needs one number for each of P3, P4 and P5, got {tuple(in_channels)}.")
    return tuple(in_channels)


def check_levels(name: str, levels: Sequence[int], *, required: bool = False) -> tuple[int, ...]:
    """Return the levels that an argument names, once they are known to ascend through the pyramid.

    Args:
        name: The argument, for the message.
        levels: Some of ``LEVELS``.
        required: There must be one at least.

    Raises:
        ValueError: An unknown or repeated level, another order, or none although required.
    """
    if tuple(levels) != tuple(sorted(set(levels) & set(LEVELS))) or (required and not levels):
        least = "one or more" if required else "any"
        raise ValueError(f"{name} must be {least} of {LEVELS}, each once and in this order, got {tuple(levels)}.")
    return tuple(levels)


def check_features(features: Sequence[Tensor], in_channels: Sequence[int]) -> None:
    """Raise ``ValueError`` unless feature maps are what a neck was built for.

    Args:
        features: (B, in_channels[i], H / 2^i, W / 2^i) maps, fine to coarse.
        in_channels: Channels of each level.
    """
    channels = [feature.shape[1] for feature in features]
    if channels != list(in_channels):
        raise ValueError(
            f"The neck was built for {len(in_channels)} feature maps with {tuple(in_channels)} channels, "
            f"got {len(channels)} with {tuple(channels)}: does widen_factor equal the backbone's?"
        )
    for fine, coarse in pairwise(features):
        if any(size != 2 * half for size, half in zip(fine.shape[2:], coarse.shape[2:])):
            raise ValueError(
                f"A feature map of {tuple(fine.shape[2:])} cells is followed by one of {tuple(coarse.shape[2:])}, "
                "not half as large: pad the image's height and width to multiples of 32."
            )


def fuse_top_down(
    features: Sequence[Tensor], laterals: Iterable[Layer], blocks: Iterable[TwoLevelLayer]
) -> list[Tensor]:
    """Carry meaning from coarse to fine levels (FPN).

    Args:
        features: (B, C_i, H / 2^i, W / 2^i) maps, fine to coarse.
        laterals: A layer for each level but the finest, coarse to fine, applied on the way down.
        blocks: A layer for each level but the coarsest, coarse to fine, that reads a map and the coarser one.

    Returns:
        As many maps of the same sizes, fine to coarse.
    """
    *finer, current = features
    fused = []
    for feature, lateral, block in zip(reversed(finer), laterals, blocks):
        current = lateral(current)
        fused.append(current)
        current = block(feature, current)
    return [current, *reversed(fused)]


def fuse_bottom_up(features: Sequence[Tensor], downsamples: Iterable[Layer], blocks: Iterable[Layer]) -> list[Tensor]:
    """Carry detail from fine to coarse levels (PAN).

    Args:
        features: (B, C_i, H / 2^i, W / 2^i) maps, fine to coarse.
        downsamples: Layers of stride 2, fine to coarse; the way ends where they end.
        blocks: Layers, as many, that read the downsampled map and the coarser one concatenated.

    Returns:
        One map more than there are blocks, fine to coarse.
    """
    fused = [features[0]]
    for feature, downsample, block in zip(features[1:], downsamples, blocks):
        fused.append(block(torch.cat([downsample(fused[-1]), feature], dim=1)))
    return fused
