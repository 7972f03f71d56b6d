"""Ground truth of an image, moved as its pixels are.

People are a dict of arrays, as in MMPose's records: ``bbox`` (G, 4) x1, y1, x2, y2; ``bbox_score``
(G,); ``category_id`` (G,); ``keypoints`` (G, K, 2); ``keypoints_visible`` (G, K), or (G, K, 2) where a
second number is the keypoint's weight; ``area`` (G,).  Coordinates are pixels.  Nothing here changes
the arrays that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEYS = ("bbox", "bbox_score", "category_id", "keypoints", "keypoints_visible", "area")
_CORNERS = [0, 1, 2, 1, 2, 3, 0, 3]

People = dict[str, NDArray[Any]]


def join_people(parts: Sequence[Mapping[str, Any]]) -> People:
    """Return the people of several images, or of records that hold them, as those of one image."""
    return {key: np.concatenate([part[key] for part in parts]) for key in KEYS}


def warp_people(people: Mapping[str, Any], matrix: NDArray[np.float64]) -> People:
    """Move people by an affine matrix; a box becomes the upright box around its moved corners.

    Args:
        people: People, or a record that holds them.
        matrix: (3, 3) or (2, 3), from pixels to pixels.
    """
    linear, shift = matrix[:2, :2].T, matrix[:2, 2]
    corners = people["bbox"][:, _CORNERS].reshape(-1, 4, 2) @ linear + shift
    moved = {
        "bbox": np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1),
        "keypoints": people["keypoints"] @ linear + shift,
        "area": people["area"] * np.linalg.det(linear),
    }
    moved = {key: value.astype(people[key].dtype) for key, value in moved.items()}
    return {key: moved.get(key, people[key]) for key in KEYS}


def clip_people(people: Mapping[str, Any], size_wh: Sequence[float]) -> People:
    """Clip boxes to 0..size and take keypoints outside for invisible; areas stay, as in MMPose 1.3."""
    size = np.asarray(size_wh, dtype=np.float32)
    boxes = np.clip(people["bbox"], 0, np.tile(size, 2)).astype(people["bbox"].dtype)
    keypoints, visible = people["keypoints"], people["keypoints_visible"].copy()
    is_outside = ((keypoints < 0) | (keypoints > size)).any(axis=-1)
    visible[(is_outside, 0) if visible.ndim == 3 else is_outside] = 0
    return {**{key: people[key] for key in KEYS}, "bbox": boxes, "keypoints_visible": visible}


def flip_people(people: Mapping[str, Any], width: int, flip_indices: Sequence[int]) -> People:
    """Mirror people left to right: x becomes width - 1 - x, and left keypoints change with right ones."""
    boxes, keypoints = people["bbox"].copy(), people["keypoints"][:, flip_indices]
    boxes[:, [0, 2]] = width - 1 - boxes[:, [2, 0]]
    keypoints[..., 0] = width - 1 - keypoints[..., 0]
    visible = people["keypoints_visible"][:, flip_indices]
    moved = {"bbox": boxes, "keypoints": keypoints, "keypoints_visible": visible}
    return {key: moved.get(key, people[key]) for key in KEYS}
