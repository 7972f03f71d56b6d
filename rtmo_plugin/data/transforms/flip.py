"""Random mirroring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
from mmcv.transforms import BaseTransform

from rtmo_plugin.data.transforms.global_rng import draw_index
from rtmo_plugin.data.transforms.person_labels import flip_people
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.registry import TRANSFORMS

_CODES = {"horizontal": 1, "vertical": 0, "diagonal": -1}  # of OpenCV's flip


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Mirror an image and its people at random, by default every second image.

    Equal to MMPose's transform of this name, with the same random number.  Left and right keypoints change places
    in a horizontal and in a vertical flip, and stay in a diagonal one, which is a rotation.

    Args:
        prob: Probability of a flip, split equally among the directions; or a list with one probability per direction.
        direction: ``horizontal``, ``vertical`` or ``diagonal``, or a list of these values.

    Raises:
        ConfigError: A probability outside 0..1, probabilities with a sum above 1, an unknown direction, or lists
            of different lengths.
    """

    def __init__(self, prob: float | Sequence[float] = 0.5, direction: str | Sequence[str] = "horizontal") -> None:
        directions = [direction] if isinstance(direction, str) else direction
        if not isinstance(directions, (list, tuple)) or not directions:
            raise ConfigError(f"direction of RandomFlip must be a name or a list of names, got {direction!r}.")
        wrong = [each for each in directions if each not in _CODES]
        if wrong:
            raise ConfigError(f"direction of RandomFlip must be one of {', '.join(_CODES)}, got {wrong[0]!r}.")
        if isinstance(prob, (int, float)):
            probs = [prob / len(directions)] * len(directions)
        elif isinstance(prob, (list, tuple)) and all(isinstance(each, (int, float)) for each in prob):
            probs = list(prob)
        else:
            raise ConfigError(f"prob of RandomFlip must be a number or a list of numbers, got {prob!r}.")
        if not all(0 <= each <= 1 for each in (*probs, sum(probs))) or len(probs) != len(directions):
            raise ConfigError(
                "prob of RandomFlip must be between 0 and 1, or a list with a sum of at most 1 and one "
                f"number per direction ({len(directions)}), got {prob}."
            )
        self.prob, self.direction = prob, direction
        self._directions, self._probs = [*directions, None], [*probs, 1 - sum(probs)]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record, mirrored or not, with ``flip`` and ``flip_direction``.

        Args:
            results: Record whose ``img`` is an image or a list of frames of one size; with ``flip_indices`` if it has
                ``keypoints``.
        """
        direction = self._directions[draw_index(self._probs)]
        if direction is None:
            return {**results, "flip": False, "flip_direction": None}
        code, image = _CODES[direction], results["img"]
        frames = image if isinstance(image, list) else [image]
        flipped: dict[str, Any] = {"img": [cv2.flip(frame, code) for frame in frames]}
        if not isinstance(image, list):
            (flipped["img"],) = flipped["img"]
        if results.get("img_mask") is not None:
            flipped["img_mask"] = cv2.flip(results["img_mask"], code)
        people = flip_people(results, frames[0].shape[1::-1], results.get("flip_indices", ()), direction)
        return {**results, **people, **flipped, "flip": True, "flip_direction": direction}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prob={self.prob}, direction={self.direction})"
