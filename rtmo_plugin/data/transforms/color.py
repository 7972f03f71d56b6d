"""Random shifts of hue, saturation and value."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from rtmo_plugin.data.transforms.global_rng import draw_bits, draw_signed
from rtmo_plugin.registry import TRANSFORMS

_NUM_HUES = 180  # OpenCV counts hues in steps of two degrees
_LEVELS = np.arange(256)

Plane = NDArray[np.uint8]


@TRANSFORMS.register_module()
class YOLOXHSVRandomAug(BaseTransform):
    """Shift hue, saturation and value by random amounts, each with probability 1/2.

    Equal to MMPose's transform of this name: the same random numbers give the same image, bit by bit.

    Args:
        hue_delta: Largest shift of the hue, on a circle of 180 levels.
        saturation_delta: Largest shift of the saturation, in 256 levels.
        value_delta: Largest shift of the value, in 256 levels.
    """

    def __init__(self, hue_delta: int = 5, saturation_delta: int = 30, value_delta: int = 30) -> None:
        self.hue_delta, self.saturation_delta, self.value_delta = hue_delta, saturation_delta, value_delta

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with the shifted image as ``img``, (H, W, 3) uint8 BGR."""
        shifts = draw_signed(3) * (self.hue_delta, self.saturation_delta, self.value_delta) * draw_bits(3)
        hue, saturation, value = (int(shift) for shift in shifts)
        image = cv2.cvtColor(results["img"], cv2.COLOR_BGR2HSV)
        planes = cv2.split(image)
        shifted = (rotate_hue(planes[0], hue), shift_level(planes[1], saturation), shift_level(planes[2], value))
        cv2.merge(shifted, dst=image)
        return {**results, "img": cv2.cvtColor(image, cv2.COLOR_HSV2BGR)}

    def __repr__(self) -> str:
        deltas = [f"{name}={getattr(self, name)}" for name in ("hue_delta", "saturation_delta", "value_delta")]
        return f"{type(self).__name__}({', '.join(deltas)})"


def rotate_hue(plane: Plane, shift: int) -> Plane:
    """Return a plane of hues (0..179) shifted around the circle."""
    if not shift:
        return plane
    return np.asarray(cv2.LUT(plane, ((_LEVELS + shift) % _NUM_HUES).astype(np.uint8)), dtype=np.uint8)


def shift_level(plane: Plane, shift: int) -> Plane:
    """Return a plane of levels shifted up or down and clipped to 0..255.

    Examples:
        >>> shift_level(np.array([3, 250], dtype=np.uint8), 20).tolist()
        [23, 255]
        >>> shift_level(np.array([3, 250], dtype=np.uint8), -20).tolist()
        [0, 230]
    """
    size = np.uint8(min(abs(shift), 255))
    if shift >= 0:
        return np.minimum(plane, 255 - size) + size
    return np.maximum(plane, size) - size
