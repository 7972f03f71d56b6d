"""Bilinear interpolation of images of any sizes, in operators whose shapes do not depend on these sizes."""

from __future__ import annotations

import torch
from torch import Tensor

_WHOLE = 32 * 32  # weights in x and in y are in units of 1/32 pixel
_CHANNELS = 3


def interpolate_pixels(
    pixels: Tensor, offsets: tuple[Tensor, Tensor], weights: tuple[Tensor, Tensor], fill: Tensor
) -> Tensor:
    """Interpolate B images that lie one behind the other in memory.

    All numbers are whole and below 2**24, so that float32 is exact, and the result is that of OpenCV.

    Args:
        pixels: (N,) bytes: BGR pixels of the images, row by row.
        offsets: (B, 2, H) and (B, 2, W): where in ``pixels`` the upper and lower row of an output row begins, and
            how far from there its left and right pixels are.
        weights: (B, 2, H) and (B, 2, W) weights of these rows and pixels in units of 1/32; what they lack is filled.
        fill: (3,) color of what lies outside of an image.

    Returns:
        (B, H, W, 3) whole numbers 0..255 in float32.

    Examples:
        >>> two_pixels = torch.tensor([0, 0, 0, 100, 100, 100], dtype=torch.uint8)
        >>> rows, columns = torch.tensor([[[0], [0]]]), torch.tensor([[[0, 3], [3, 3]]])
        >>> shares = torch.tensor([[[32], [0]]]), torch.tensor([[[24, 16], [8, 0]]])
        >>> interpolate_pixels(two_pixels, (rows, columns), shares, torch.full((3,), 50.0))[0, 0].tolist()
        [[25.0, 25.0, 25.0], [75.0, 75.0, 75.0]]
    """
    triples = pixels.unfold(0, _CHANNELS, 1)  # (N - 2, 3): those that begin at each byte
    rows, columns = offsets
    shares_y, shares_x = (each.float()[..., None] for each in weights)
    total = fill * (_WHOLE - shares_y.sum(dim=1)[:, :, None] * shares_x.sum(dim=1)[:, None])
    for vertical in range(2):
        for horizontal in range(2):
            places = rows[:, vertical, :, None] + columns[:, horizontal, None]
            found = triples.index_select(0, places.flatten()).reshape(*places.shape, _CHANNELS)
            total = total + found * (shares_y[:, vertical, :, None] * shares_x[:, horizontal, None])
    return torch.floor((total + _WHOLE // 2) / _WHOLE)
