"""Records that evaluation passes from one step to the next.

Shapes: I images, G people in the ground truth, D detections, N detections of one sample,
K keypoints, T OKS thresholds, R recall thresholds, C categories, A ranges of area.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class SampleResult:
    """What a metric keeps of one sample: predictions in original pixels, and its ground truth if it has to."""

    image_id: Hashable
    sample_id: Hashable  # of a person (top-down), or a tuple of the people's (bottom-up)
    category_ids: np.ndarray  # (N,)
    keypoints: np.ndarray  # (N, K, 2) x, y
    keypoint_scores: np.ndarray  # (N, K)
    scores: np.ndarray  # (N,) of the boxes
    boxes_xywh: np.ndarray | None = None  # (N, 4)
    areas: np.ndarray | None = None  # (N,) of the boxes that a top-down model was given
    image: Mapping[str, Any] | None = None  # with `annotations`, in place of an annotation file
    annotations: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class GroundTruth:
    """The people to be found.  ``image`` and ``category`` are indices into the sorted ids."""

    image_ids: tuple[Any, ...]  # I
    category_ids: tuple[int, ...]  # C
    image: np.ndarray  # (G,)
    category: np.ndarray  # (G,)
    keypoints: np.ndarray  # (G, K, 3) x, y, visibility (0, 1, 2)
    boxes_xywh: np.ndarray  # (G, 4)
    areas: np.ndarray  # (G,)
    is_crowd: np.ndarray  # (G,) may be matched any number of times
    is_ignored: np.ndarray  # (G,) neither found nor missed: crowds, and people without keypoints
    crowd_index: np.ndarray | None = None  # (I,) how crowded an image is, 0 to 1


@dataclass(frozen=True)
class Detections:
    """All detections of a data set.  ``image`` and ``category`` are indices into the ids of the ground truth."""

    image: np.ndarray  # (D,)
    category: np.ndarray  # (D,)
    keypoints: np.ndarray  # (D, K, 2)
    keypoint_scores: np.ndarray  # (D, K)
    scores: np.ndarray  # (D,)
    areas: np.ndarray  # (D,)


@dataclass(frozen=True)
class Comparison:
    """People and detections that an evaluation compared."""

    truth: GroundTruth
    detections: Detections
    sigmas: np.ndarray  # (K,)


@dataclass(frozen=True)
class Curves:
    """Precision and recall; -1 where there are no people to be found."""

    precision: np.ndarray  # (T, R, C, A)
    recall: np.ndarray  # (T, C, A), the highest
