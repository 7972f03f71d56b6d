"""Detections: what a model outputs for an image, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import NonFiniteError
from rtmo_plugin.keypoints.person_boxes import PERSON_SHARE
from rtmo_plugin.runtime.letterbox import Letterbox

Floats = NDArray[np.floating[Any]]
DIVERGED = (
    "The model computes numbers that are not finite (NaN or infinity): its training diverged, or it was exported with "
    "--half and overflows; take an earlier checkpoint, or export without --half."
)


@dataclass(frozen=True)
class Detections:
    """N detected people, best first, in pixels of the image; before ``restore``, of the network's input."""

    boxes: Floats  # (N, 4) x1, y1, x2, y2
    scores: Floats  # (N,) 0..1
    keypoints: Floats  # (N, K, 2)
    keypoint_scores: Floats  # (N, K) 0..1
    labels: NDArray[np.int64]  # (N,) class labels
    uncertainty: Floats | None = None  # (N, K, 2) standard deviation of x and y, if it was asked for

    def __repr__(self) -> str:
        """Return the numbers of detections and keypoints in one line."""
        return f"Detections({len(self)} of {self.keypoint_scores.shape[-1]} keypoints)"

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, rows: Any) -> Detections:
        """Return the detections that a mask, a slice or indices select."""
        return Detections(
            self.boxes[rows],
            self.scores[rows],
            self.keypoints[rows],
            self.keypoint_scores[rows],
            self.labels[rows],
            None if self.uncertainty is None else self.uncertainty[rows],
        )

    @classmethod
    def join(cls, parts: Sequence[Detections]) -> Detections:
        """Return the detections of one or more groups as one group."""
        names = ["boxes", "scores", "keypoints", "keypoint_scores", "labels"]
        names += ["uncertainty"] if all(part.uncertainty is not None for part in parts) else []
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def estimate_areas(self) -> Floats:
        """Return estimated areas (N,) in square pixels: a fixed share of each box, whose sides count at least 1."""
        sides = np.maximum(self.boxes[:, 2:] - self.boxes[:, :2], 1.0)
        areas: Floats = PERSON_SHARE * sides.prod(axis=-1)
        return areas

    def check_finite(self) -> None:
        """Check that all numbers are finite.

        Raises:
            NonFiniteError: A number is NaN or infinite.
        """
        numbers = [self.boxes, self.scores, self.keypoints, self.keypoint_scores]
        numbers += [] if self.uncertainty is None else [self.uncertainty]
        if not all(np.isfinite(each).all() for each in numbers):
            raise NonFiniteError(DIVERGED)

    def restore(self, letterbox: Letterbox) -> Detections:
        """Return the detections in pixels of the image, with boxes clipped to the input as MMPose does in testing."""
        limit = np.array(letterbox.size_wh, self.boxes.dtype)
        corners = np.clip(self.boxes.reshape(-1, 2, 2), 0, limit)
        boxes = letterbox.restore(corners).reshape(-1, 4)
        deviations = None if self.uncertainty is None else letterbox.rescale(self.uncertainty)
        keypoints = letterbox.restore(self.keypoints)
        return Detections(boxes, self.scores, keypoints, self.keypoint_scores, self.labels, deviations)
