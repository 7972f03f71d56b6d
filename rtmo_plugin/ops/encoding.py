"""Sine encodings: positions as vectors whose dot products depend on distances alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rtmo_plugin.ops.geometry import allocate_bins

# More blocks mean fewer sines and more queries to turn; 4 was the fastest of 2, 4 and 8 for RTMO's bins.
_NUM_BLOCKS = 4


def encode_sine(positions: Tensor, num_channels: int, temperature: float) -> Tensor:
    """Encode positions by the cosines, then the sines, of angles from fast to slow.

    Channel i of the C/2 cosines (and of the C/2 sines) turns by one radian in
    ``temperature ** (i / (C/2))`` units of position, as MMPose 1.3 has it.

    Args:
        positions: (...) coordinates in any unit.
        num_channels: C, even.
        temperature: Ratio of the slowest to the fastest period, above 0.

    Returns:
        (..., C), float32 at least: half precision cannot tell the angles of distant positions apart.

    Raises:
        ValueError: C odd or below 2, or a temperature that is not positive.

    Examples:
        >>> encode_sine(torch.tensor([0.0, 1.0]), 2, 10000)
        tensor([[1.0000, 0.0000],
                [0.5403, 0.8415]])
    """
    dtype = torch.promote_types(positions.dtype, torch.float32)
    angles = positions.to(dtype)[..., None] / _make_periods(num_channels, temperature, dtype, positions.device)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def match_bins(queries: Tensor, centers: Tensor, sizes: Tensor, num_bins: int, temperature: float) -> Tensor:
    """Return the dot products of queries with the sine encodings of bins, without encoding all bins.

    The bins form blocks, each around its middle c: bin x and its mirror image are at c + d and c - d.
    Turned by the angles of c, a query's coefficients (p, q) of a cosine and a sine become (p', q'), with
    p cos w(c + d) + q sin w(c + d) = p' cos wd + q' sin wd, and for c - d the same with a minus.  So the
    cosines and sines of half a block serve all blocks, and half of the multiplications are saved.

    Args:
        queries: (N, K, E), coefficients as ``encode_sine`` lays them out.
        centers: (N,) middle of the bins.
        sizes: (N,) distance from the first to the last bin.
        num_bins: Number of bins X.
        temperature: Ratio of the slowest to the fastest period, see ``encode_sine``.

    Returns:
        (N, K, X), up to rounding ``queries @ encode_sine(allocate_bins(centers, sizes, X), E, temperature).mT``.

    Raises:
        ValueError: E odd or below 2, or a temperature that is not positive.

    Examples:
        >>> queries = torch.tensor([[[2.0, 1.0]]])
        >>> match_bins(queries, torch.tensor([1.0]), torch.tensor([2.0]), 3, 300.0)  # at 0, 1 and 2
        tensor([[[2.0000, 1.9221, 0.0770]]])
    """
    num_blocks = math.gcd(num_bins, _NUM_BLOCKS)
    block = num_bins // num_blocks
    steps = sizes / max(num_bins - 1, 1)
    middles = allocate_bins(centers, steps * (num_bins - block), num_blocks)
    cos, sin = encode_sine(middles, queries.shape[-1], temperature)[:, :, None].chunk(2, dim=-1)
    of_cos, of_sin = queries[:, None].chunk(2, dim=-1)
    periods = _make_periods(queries.shape[-1], temperature, cos.dtype, cos.device)
    unit = torch.linspace(-0.5, 0.5, block, dtype=sizes.dtype, device=sizes.device)[block // 2 :]
    distances = unit * (steps * (block - 1))[:, None, None]
    angles = distances / periods[:, None]
    even = torch.bmm((of_cos * cos + of_sin * sin).flatten(1, 2), angles.cos())
    odd = torch.bmm((of_sin * cos - of_cos * sin).flatten(1, 2), angles.sin())
    # not flip(), for which runtimes copy number by number
    backwards = torch.arange(block // 2 - 1, -1, -1, device=queries.device) + block % 2
    products = torch.cat([(even - odd).index_select(-1, backwards), even + odd], dim=-1)
    return products.reshape(-1, num_blocks, queries.shape[1], block).transpose(1, 2).flatten(2)


def _make_periods(num_channels: int, temperature: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return in how many units of position each of C/2 angles turns by one radian.

    Raises:
        ValueError: C odd or below 2, or a temperature that is not positive.
    """
    if num_channels < 2 or num_channels % 2:
        raise ValueError(f"A sine encoding needs an even number of channels of at least 2, got {num_channels}.")
    if not temperature > 0:
        raise ValueError(f"The temperature of a sine encoding must be positive, got {temperature}.")
    half = num_channels // 2
    return temperature ** (torch.arange(half, dtype=dtype, device=device) / half)


def encode_cells(
    shape_hw: tuple[int, int],
    num_channels: int,
    temperature: float,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Encode each cell of a feature map: half of the channels for its row, half for its column.

    Args:
        shape_hw: Height H and width W of the map in cells.
        num_channels: C, a multiple of 4.
        temperature: Ratio of the slowest to the fastest period, see ``encode_sine``.
        dtype: Type of the result, where it is float32 at least.
        device: Device of the result.

    Returns:
        (H x W, C), row by row.

    Raises:
        ValueError: C is not a multiple of 4, or a temperature that is not positive.

    Examples:
        >>> encode_cells((2, 3), 8, 10000).shape
        torch.Size([6, 8])
    """
    if num_channels % 4:
        raise ValueError(f"The encoding of a map needs a multiple of 4 channels, got {num_channels}.")
    height, width = shape_hw
    dtype = torch.promote_types(dtype, torch.float32)  # bfloat16 cannot count beyond 256
    rows = encode_sine(torch.arange(height, dtype=dtype, device=device), num_channels // 2, temperature)
    columns = encode_sine(torch.arange(width, dtype=dtype, device=device), num_channels // 2, temperature)
    both = [rows[:, None].expand(-1, width, -1), columns.expand(height, -1, -1)]
    return torch.cat(both, dim=-1).flatten(0, 1)
