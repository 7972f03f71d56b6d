"""Tiling, for small people in large images: merged detections of overlapping tiles and of the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.media.drawing import Image
from rtmo_plugin.number_ranges import SIDE, NumberRange
from rtmo_plugin.ops.arrays import detection_oks, greedy_nms, pairwise_ioa, pairwise_iou
from rtmo_plugin.runtime.detections import Detections

if TYPE_CHECKING:
    from rtmo_plugin.pose.streaming import Model

Floats = NDArray[np.floating[Any]]

_SAME_POSE = 0.6  # OKS above which two detections are one person
_SAME_BOX = 0.65  # IoU likewise
_INSIDE = 0.7  # share of a cut person's box within the box of another person, likewise
_EDGE = 0.01  # a box that comes so near to the border of a tile, in sides of the tile, is cut by it


class TilingModel:
    """Model that detects people in overlapping tiles of an image and in the whole image.

    Args:
        model: Model to run on each tile and on the image.
        side: Side of a square tile in pixels of the image.
        overlap: Least overlap of neighboring tiles, as a share of the side; smaller people are whole in one tile.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(self, model: Model, side: int, overlap: float = 0.25) -> None:
        SIDE.check("tile", side)
        NumberRange(0, 0.99, is_whole=False).check("overlap", overlap)
        self._model, self._side, self._overlap = model, side, overlap
        self.info, self._sigmas = model.info, np.array(model.info.schema.sigmas)

    def predict_batch(self, images: Sequence[Image], names: Sequence[str] | None = None) -> list[Detections]:
        """Return the detections in each image, in pixels of that image.

        Raises:
            DataError: An image cannot be scaled to the input.
        """
        names = names or [f"Image {index}" for index in range(len(images))]
        return [self._predict(image, name) for image, name in zip(images, names)]

    def _predict(self, image: Image, name: str) -> Detections:
        height, width = image.shape[:2]
        whole = self._model.predict_batch([image], [name])[0]
        parts = [whole]
        cut: list[NDArray[np.bool_]] = [np.zeros(len(whole), bool)]
        starts = (place_tiles(width, self._side, self._overlap), place_tiles(height, self._side, self._overlap))
        if starts == ([0], [0]):
            return whole
        for x, y in product(*starts):  # one at a time: memory stays that of one tile
            tile = np.ascontiguousarray(image[y : y + self._side, x : x + self._side])
            people = self._model.predict_batch([tile], [name])[0]
            corner = np.array([x, y])
            boxes = people.boxes + np.tile(corner, 2)
            moved = Detections(boxes, people.scores, people.keypoints + corner, people.keypoint_scores, people.labels)
            parts.append(moved)
            cut.append(self._find_cut(moved.boxes, (x, y), (width, height)))
        return self._merge(Detections.join(parts), np.concatenate(cut))

    def _find_cut(self, boxes: Floats, corner: tuple[int, int], size_wh: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which of (N, 4) boxes touch a border of their tile inside the image."""
        near, low = _EDGE * self._side, np.array(corner)
        high = np.minimum(low + self._side, size_wh)
        is_cut_low = (boxes[:, :2] < low + near) & (low > 0)
        is_cut_high = (boxes[:, 2:] > high - near) & (high < size_wh)
        cut: NDArray[np.bool_] = (is_cut_low | is_cut_high).any(axis=1)
        return cut

    def _merge(self, people: Detections, is_cut: NDArray[np.bool_]) -> Detections:
        """Keep each person once: whole people before cut ones, then by score."""
        order = np.lexsort((-people.scores, is_cut))
        people, is_cut = people.select(order), is_cut[order]
        areas = people.estimate_areas()
        oks = detection_oks(people, people, np.maximum(areas[:, None], areas), self._sigmas)
        is_same = (oks > _SAME_POSE) | (pairwise_iou(people.boxes, people.boxes) > _SAME_BOX)
        is_same |= (pairwise_ioa(people.boxes, people.boxes) > _INSIDE) & is_cut
        merged = people.select(greedy_nms(is_same))
        return merged.select(np.argsort(-merged.scores, kind="stable"))


def place_tiles(length: int, side: int, overlap: float) -> list[int]:
    """Return the starts of evenly spaced tiles along an axis, the first at 0 and the last ending with the image.

    Examples:
        >>> place_tiles(1000, 400, 0.25)
        [0, 300, 600]
    """
    if length <= side:
        return [0]
    num_steps = max(1, int(np.ceil((length - side) / max(1, side * (1 - overlap)))))
    return [round(n * (length - side) / num_steps) for n in range(num_steps + 1)]
