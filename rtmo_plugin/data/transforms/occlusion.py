"""Occlusion: patches over parts of people."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from rtmo_plugin.data.transforms.collage import Collage
from rtmo_plugin.data.transforms.covering import find_labeled, hide_keypoints
from rtmo_plugin.data.transforms.global_rng import coin_flip, draw_integer, draw_signed, draw_uniform
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.number_ranges import FRACTION
from rtmo_plugin.registry import TRANSFORMS

_ASPECTS = (0.5, 2.0)  # width over height
_TEXTURE = (4, 4, 3)  # colors of a patch, between which it is smooth
_CONTRAST = 40  # largest difference of these from the patch's mean color, in 256 levels


@TRANSFORMS.register_module()
class OccludePeople(BaseTransform):
    """Cover parts of people with patches of a random color, each over one of the labeled keypoints or beside it.

    A covered keypoint stays labeled, as hidden, as COCO's annotators label what they can tell without seeing it
    (``covering``); boxes and areas stay. A patch that would cover more than ``max_covered`` of anybody's labeled
    keypoints is left out.

    Args:
        prob: Probability of a patch, for each person.
        size_range: Smallest and largest size of a patch relative to the person: root of its area by that of the box.
        max_covered: Largest share of a person's labeled keypoints that one patch may cover.

    Raises:
        ConfigError: A value is outside its range.
    """

    def __init__(
        self, prob: float = 0.5, size_range: tuple[float, float] = (0.15, 0.45), max_covered: float = 0.5
    ) -> None:
        FRACTION.check("prob", prob)
        FRACTION.check("max_covered", max_covered)
        if not 0 < size_range[0] <= size_range[1]:
            raise ConfigError(
                f"size_range of OccludePeople must be two positive numbers, the smaller first, got {size_range}."
            )
        self.prob, self.size_range, self.max_covered = prob, tuple(size_range), max_covered

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with patches over some of its people.

        Args:
            results: Record with ``img`` of (H, W, 3) uint8.

        Raises:
            ConfigError: ``img`` is a mosaic that is not drawn yet.
        """
        if isinstance(results["img"], Collage):
            raise ConfigError("OccludePeople needs pixels: put it after BottomupRandomAffine, which draws the mosaic.")
        results = {**results, "img": results["img"].copy()}
        labeled = find_labeled(results["keypoints_visible"])
        for person in np.flatnonzero(labeled.any(axis=1)).tolist():
            if coin_flip(self.prob):
                keypoints = results["keypoints"][person][labeled[person]]
                self._cover(results, keypoints[draw_integer(len(keypoints))], results["bbox"][person])
        return results

    def _cover(self, results: dict[str, Any], keypoint: NDArray[Any], box: NDArray[Any]) -> None:
        """Draw a patch over a keypoint of a person with this box, in place, unless it covers too much."""
        size = math.sqrt(max(float(np.prod(box[2:] - box[:2])), 1.0)) * draw_uniform(*self.size_range)
        stretch = math.sqrt(math.exp(draw_uniform(*np.log(_ASPECTS))))
        width, height = (max(round(each), 2) for each in (size * stretch, size / stretch))
        corner = np.rint(keypoint + (draw_signed(2) - 1) / 2 * (width, height)).astype(int)
        is_round = coin_flip(0.5)
        colors = 127.5 * (1 + draw_signed(3)) + _CONTRAST * draw_signed(math.prod(_TEXTURE)).reshape(_TEXTURE)
        mask = np.full((height, width), 255, np.uint8)
        if is_round:
            mask = np.zeros((height, width), np.uint8)
            cv2.ellipse(mask, (width // 2, height // 2), (width // 2, height // 2), 0, 0, 360, (255,), -1)
        hidden = hide_keypoints(results, mask, corner, self.max_covered)
        if hidden is None:
            return
        results.update(hidden)
        texture = cv2.resize(np.clip(colors, 0, 255).astype(np.uint8), (width, height))
        size_wh = results["img"].shape[1::-1]
        (left, top), (right, bottom) = np.maximum(corner, 0), np.minimum(np.add(corner, (width, height)), size_wh)
        if left < right and top < bottom:
            rows, columns = slice(top - corner[1], bottom - corner[1]), slice(left - corner[0], right - corner[0])
            is_covered = mask[rows, columns] > 0
            results["img"][top:bottom, left:right][is_covered] = texture[rows, columns][is_covered]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prob={self.prob}, size_range={self.size_range})"
