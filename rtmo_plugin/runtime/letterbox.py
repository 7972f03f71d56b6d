"""Letterbox: fit an image into the network's input, and map coordinates back, exactly as in training and testing.

The image is scaled to fit and centered, and the rest is filled, bit by bit as MMPose's ``BottomupResize`` does.
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
# Center, left edge and lower left corner: three points that define the affine map.
_CORNER = np.array([[0, 0], [-1, 0], [-1, 1]], np.float32)


@dataclass(frozen=True)
class Letterbox:
    """Placement of an image in the input.

    Attributes:
        size_wh: Input width and height in pixels.
        scale: (2,) width and height of the whole input, in pixels of the image.
        corner: (2,) upper left corner of the input, in pixels of the image.
    """

    size_wh: tuple[int, int]
    scale: Floats
    corner: Floats

    def restore(self, points: Floats) -> Floats:
        """Map (..., 2) points of the input to points of the image."""
        restored: Floats = points / np.array(self.size_wh) * self.scale + self.corner
        return restored

    def rescale(self, lengths: Floats) -> Floats:
        """Map (..., 2) lengths in x and y of the input to pixels of the image."""
        rescaled: Floats = lengths / np.array(self.size_wh) * self.scale
        return rescaled


def check_has_pixels(image: Image, name: str) -> None:
    """Check that an image has pixels.

    Raises:
        DataError: It has none.
    """
    if not all(image.shape[:2]):
        raise DataError(f"{name} has no pixels.")


def place_image(image_wh: tuple[int, int], size_wh: tuple[int, int]) -> tuple[Floats, Letterbox]:
    """Return the affine map (2, 3) from an image to the input, as OpenCV takes it, and the placement that it gives.

    Args:
        image_wh: Width and height of the image in pixels, not 0.
        size_wh: Input width and height in pixels.
    """
    width, height = image_wh
    ratio = width / height
    fitted = np.array([min(size_wh[0], size_wh[1] * ratio), min(size_wh[1], size_wh[0] / ratio)])
    size, original = np.array(size_wh), np.array([width, height])
    center, scale = (original / 2).astype(np.float32), (original * size / fitted).astype(np.float32)
    # From the same three points as in training, in float32.
    middle = (size / 2).astype(np.float32)
    source, target = center + _CORNER * (scale[0] / 2), middle + _CORNER * middle[0]
    matrix: Any = cv2.getAffineTransform(source.astype(np.float32), target.astype(np.float32))
    return matrix, Letterbox(size_wh, scale, center - 0.5 * scale)


def apply_letterbox(
    image: Image, size_wh: tuple[int, int], pad_value: tuple[int, int, int] = (114, 114, 114), name: str = "The image"
) -> tuple[Image, Letterbox]:
    """Return the padded input for an image, and the placement of the image in it.

    Args:
        image: Image of any size, (height, width, 3).
        size_wh: Input width and height in pixels.
        pad_value: Color of the padding, in the order of the channels.
        name: Name of the image in messages.

    Raises:
        DataError: The image has no pixels, or is too thin to be scaled.
    """
    check_has_pixels(image, name)
    height, width = image.shape[:2]
    matrix, letterbox = place_image((width, height), size_wh)
    try:
        padded = _warp(image, matrix, size_wh, pad_value)
    except cv2.error as error:
        raise DataError(f"{name} has {width} x {height} pixels and cannot be scaled to the network's input.") from error
    return np.asarray(padded, np.uint8), letterbox


def make_input(images: Image, kind: str) -> NDArray[Any]:
    """Return (..., H, W, 3) images as the input of a file: unchanged for ``uint8``, (..., 3, H, W) for ``float32``."""
    return images if kind == "uint8" else np.moveaxis(images, -1, -3).astype(np.float32, order="C")


def _warp(image: Image, matrix: Any, size_wh: tuple[int, int], pad_value: tuple[int, int, int]) -> Any:
    """Return the warped image; one that is only shifted by whole pixels is copied, which is eight times as fast."""
    shift = np.rint(matrix)
    if np.abs(matrix - shift).max() < _WHOLE and (shift[:, :2] == np.eye(2)).all() and (shift[:, 2] >= 0).all():
        left, top = map(int, shift[:, 2])
        right, bottom = size_wh[0] - left - image.shape[1], size_wh[1] - top - image.shape[0]
        if min(right, bottom) >= 0:
            return cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=pad_value)
    return cv2.warpAffine(image, matrix, size_wh, flags=cv2.INTER_LINEAR, borderValue=pad_value)
