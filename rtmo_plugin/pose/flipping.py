"""Flip augmentation: detections of an image and its mirror image are averaged.

Detections found in only one view get half the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.media.drawing import Image
from rtmo_plugin.ops.arrays import detection_oks, match_closest
from rtmo_plugin.runtime.detections import Detections

if TYPE_CHECKING:
    from rtmo_plugin.pose.streaming import Model

Floats = NDArray[np.floating[Any]]

_SAME = 0.5  # least OKS of two detections of one person


class FlippingModel:
    """Model that averages the detections of an image and of its mirror image.

    Args:
        model: Model to run on both; left and right keypoints of the mirror image are exchanged.
        score_thr: Score above which detections are returned, after averaging.
    """

    def __init__(self, model: Model, score_thr: float = 0.0) -> None:
        self._model, self.info, self._score_thr = model, model.info, score_thr
        order = np.arange(model.info.schema.num_keypoints)
        for left, right in model.info.schema.flip_pairs:
            order[[left, right]] = right, left
        self._order, self._sigmas = order, np.array(model.info.schema.sigmas)

    def predict_batch(self, images: Sequence[Image], names: Sequence[str] | None = None) -> list[Detections]:
        """Return the detections in each image, in pixels of that image.

        Raises:
            DataError: An image cannot be scaled to the input.
        """
        mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in images]
        found = self._model.predict_batch([*images, *mirrored], [*names, *names] if names else None)
        pairs = zip(images, found, found[len(images) :])
        everyone = [self._average(plain, self._mirror(other, image.shape[1])) for image, plain, other in pairs]
        return [people.select(people.scores > self._score_thr) for people in everyone]

    def _mirror(self, people: Detections, width: int) -> Detections:
        """Return the detections of a mirror image in pixels of the image."""
        last = width - 1  # pixel 0 shows what the last one does
        boxes = np.stack([last - people.boxes[:, 2], people.boxes[:, 1], last - people.boxes[:, 0], people.boxes[:, 3]])
        points = people.keypoints[:, self._order] * [-1, 1] + [last, 0]
        return Detections(boxes.T, people.scores, points, people.keypoint_scores[:, self._order], people.labels)

    def _average(self, plain: Detections, other: Detections) -> Detections:
        """Return the means of detections found in both views, and the others at half their score."""
        if not len(plain) or not len(other):
            return _halve(Detections.join([plain, other]))
        areas = np.maximum(plain.estimate_areas()[:, None], other.estimate_areas())
        pairs = match_closest(detection_oks(plain, other, areas, self._sigmas), _SAME)
        first, second = plain.select([a for a, _ in pairs]), other.select([b for _, b in pairs])
        both = Detections(
            (first.boxes + second.boxes) / 2,
            (first.scores + second.scores) / 2,
            (first.keypoints + second.keypoints) / 2,
            (first.keypoint_scores + second.keypoint_scores) / 2,
            first.labels,
        )
        rest = [
            np.setdiff1d(np.arange(len(each)), [pair[i] for pair in pairs]) for i, each in enumerate((plain, other))
        ]
        everyone = Detections.join([both, _halve(plain.select(rest[0])), _halve(other.select(rest[1]))])
        return everyone.select(np.argsort(-everyone.scores, kind="stable"))


def _halve(people: Detections) -> Detections:
    return Detections(people.boxes, people.scores / 2, people.keypoints, people.keypoint_scores, people.labels)
