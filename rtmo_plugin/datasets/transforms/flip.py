"""Mirror images."""

from __future__ import annotations

from typing import Any

import cv2
from mmcv.transforms import BaseTransform

from rtmo_plugin.datasets.transforms.chance import toss
from rtmo_plugin.datasets.transforms.people import flip_people
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Mirror an image and its people left to right, every other time.

    As MMPose's transform of this name and of direction ``"horizontal"``, with the same random number.

    Args:
        prob: How often.

    Raises:
        ConfigError: ``prob`` is not a probability.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ConfigError(f"prob of a flip must be between 0 and 1, got {prob}.")
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record, mirrored or not, with ``flip`` and ``flip_direction``."""
        if not toss(self.prob):
            return {**results, "flip": False, "flip_direction": None}
        people = flip_people(results, results["img"].shape[1], results["flip_indices"])
        return {**results, **people, "img": cv2.flip(results["img"], 1), "flip": True, "flip_direction": "horizontal"}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prob={self.prob})"
