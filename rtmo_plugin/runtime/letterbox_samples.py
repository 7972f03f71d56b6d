"""A letterbox as numbers: the pixels that each row and column of the input interpolates between.

A device that has the pixels of an image and these numbers computes the same letterbox as ``apply_letterbox``, and
nothing that it does depends on the size of the image: ``rtmo_plugin.ops.interpolation``.

The numbers are those of OpenCV's ``warpAffine`` for eight-bit images: places in steps of 1/32 pixel, of an affine map
that is inverted in float64 and rounded to 1/1024 pixel.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.runtime.letterbox import Floats, Letterbox, place_image

Ints = NDArray[np.int32]
NUM_CHANNELS = 3
NUM_PLACEMENT = 4  # numbers that map points of the input to points of the image
_STEPS = 32  # in a pixel
_FINE_STEPS = 1024


def count_numbers(size_wh: tuple[int, int]) -> int:
    """Return how many numbers describe the letterbox of an image: offsets and weights, then ``NUM_PLACEMENT``."""
    return 4 * sum(size_wh) + NUM_PLACEMENT


@lru_cache(maxsize=64)  # images of a video and of a camera have one size
def describe_letterbox(image_wh: tuple[int, int], size_wh: tuple[int, int]) -> Ints:
    """Return the numbers (``count_numbers``,) that describe the letterbox of an image.

    They are, for an input of W x H pixels: (2, H) offsets of pixel rows in bytes from the first byte of the image,
    (2, W) offsets within a row, (2, H) and (2, W) weights in units of 1/32, 0 outside of the image; and as the bits of
    float32 the size of an input pixel in x and y, in pixels of the image, and the corner of the input there.

    Args:
        image_wh: Width and height of the image in pixels, not 0.
        size_wh: Input width and height in pixels.
    """
    matrix, letterbox = place_image(image_wh, size_wh)
    (scale_x, shift_x), (scale_y, shift_y) = _invert(matrix)
    x, y = np.arange(size_wh[0]), np.arange(size_wh[1])
    # In the order in which OpenCV rounds: in a row, the shift by itself.
    columns = np.rint(scale_x * x * _FINE_STEPS) + np.rint(shift_x * _FINE_STEPS)
    rows = np.rint((scale_y * y + shift_y) * _FINE_STEPS)
    column_offsets, column_weights = _sample(columns, image_wh[0], NUM_CHANNELS)
    row_offsets, row_weights = _sample(rows, image_wh[1], NUM_CHANNELS * image_wh[0])
    samples = [row_offsets, column_offsets, row_weights, column_weights]
    numbers: Ints = np.concatenate([*(each.ravel() for each in samples), _place(letterbox).view(np.int32)])
    numbers.flags.writeable = False  # kept for the next image of this size
    return numbers


def _invert(matrix: Floats) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return scale and shift in x and y of the map from the input to the image, as OpenCV computes them."""
    (a, b, left), (c, d, top) = matrix.astype(np.float64).tolist()
    factor = 1 / (a * d - b * c)
    scale_x, scale_y, turn_x, turn_y = d * factor, a * factor, -b * factor, -c * factor
    return (scale_x, -scale_x * left - turn_x * top), (scale_y, -turn_y * left - scale_y * top)


def _sample(places: Floats, length: int, stride: int) -> tuple[Ints, Ints]:
    """Return the offsets (2, N) of the pixels before and after places in 1/1024 pixel, and their weights."""
    steps = (places.astype(np.int64) + _FINE_STEPS // _STEPS // 2) // (_FINE_STEPS // _STEPS)
    first, share = steps // _STEPS, steps % _STEPS
    pixels, weights = np.stack([first, first + 1]), np.stack([_STEPS - share, share])
    weights = weights * ((pixels >= 0) & (pixels < length))
    return (pixels.clip(0, length - 1) * stride).astype(np.int32), weights.astype(np.int32)


def _place(letterbox: Letterbox) -> NDArray[np.float32]:
    place: NDArray[np.float32] = np.concatenate(
        [letterbox.scale / np.array(letterbox.size_wh), letterbox.corner], dtype=np.float32, casting="same_kind"
    )
    return place
