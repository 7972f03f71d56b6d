"""Fit an image into the network's input and take coordinates back, exactly as training and testing do.

The image is scaled to fit, its middle stays in the middle, and the rest is filled: what MMPose's
``BottomupResize`` does, to the last bit of every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError

Image = NDArray[np.uint8]  # (height, width, 3), BGR
Floats = NDArray[np.floating[Any]]

_WHOLE = 1e-6  # OpenCV warps in steps of 1/32 pixel
# The middle, left of it, and below that: as far as the middle is from the edge.
_CORNER = np.array([[0, 0], [-1, 0], [-1, 1]], np.float32)


@dataclass(frozen=True)
class Letterbox:
    """How an image lies in the input.

    Attributes:
        size_wh: Width and height of the input.
        scale: (2,) width and height, in pixels of the image, of what the whole input shows.
        corner: (2,) where the input's upper left corner lies in the image.
    """

    size_wh: tuple[int, int]
    scale: Floats
    corner: Floats

    def restore(self, points: Floats) -> Floats:
        """Map (..., 2) points of the input to points of the image."""
        restored: Floats = points / np.array(self.size_wh) * self.scale + self.corner
        return restored


def apply_letterbox(
    image: Image, size_wh: tuple[int, int], pad_value: tuple[int, int, int] = (114, 114, 114), name: str = "The image"
) -> tuple[Image, Letterbox]:
    """Return the input for an image, and how the image lies in it.

    Args:
        image: (height, width, 3) of any size.
        size_wh: Width and height of the input.
        pad_value: Color around the image, in the order of its channels.
        name: Name of the image in messages.

    Raises:
        DataError: The image has no pixels, or is too thin to be scaled.
    """
    height, width = image.shape[:2]
    if not height or not width:
        raise DataError(f"{name} has no pixels.")
    fitted = _fit(width, height, size_wh)
    size, original = np.array(size_wh), np.array([width, height])
    center, scale = (original / 2).astype(np.float32), (original * size / fitted).astype(np.float32)
    try:
        padded = _warp(image, _make_matrix(center, scale, size_wh), size_wh, pad_value)
    except cv2.error as error:
        raise DataError(f"{name} has {width} x {height} pixels and cannot be scaled to the network's input.") from error
    return np.asarray(padded, np.uint8), Letterbox(size_wh, scale, center - 0.5 * scale)


def make_input(images: Image, kind: str) -> NDArray[Any]:
    """Return (..., H, W, 3) images as a network takes them: unchanged for ``uint8``, (..., 3, H, W) for ``float32``."""
    return images if kind == "uint8" else np.moveaxis(images, -1, -3).astype(np.float32, order="C")


def _fit(width: int, height: int, size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """Return width and height of the scaled image."""
    ratio = width / height
    return np.array([min(size_wh[0], size_wh[1] * ratio), min(size_wh[1], size_wh[0] / ratio)])


def _warp(image: Image, matrix: Any, size_wh: tuple[int, int], pad_value: tuple[int, int, int]) -> Any:
    """Return the input; where the image is only shifted by whole pixels it is copied, which is eight times as fast."""
    shift = np.rint(matrix)
    if np.abs(matrix - shift).max() < _WHOLE and (shift[:, :2] == np.eye(2)).all() and (shift[:, 2] >= 0).all():
        left, top = map(int, shift[:, 2])
        right, bottom = size_wh[0] - left - image.shape[1], size_wh[1] - top - image.shape[0]
        if min(right, bottom) >= 0:
            return cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=pad_value)
    return cv2.warpAffine(image, matrix, size_wh, flags=cv2.INTER_LINEAR, borderValue=pad_value)


def _make_matrix(center: Floats, scale: Floats, size_wh: tuple[int, int]) -> Any:
    """Return the affine map from image to input, from the same three float32 points as in training."""
    middle = np.array(size_wh, np.float32) / 2
    source, target = center + _CORNER * (scale[0] / 2), middle + _CORNER * middle[0]
    return cv2.getAffineTransform(source.astype(np.float32), target.astype(np.float32))
