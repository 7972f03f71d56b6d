"""Ground truth of an image, transformed like its pixels.

People are a dict of arrays, as in MMPose's records: ``bbox`` (G, 4) x1, y1, x2, y2; ``bbox_score``
(G,); ``category_id`` (G,); ``keypoints`` (G, K, 2); ``keypoints_visible`` (G, K), or (G, K, 2) where a
second number is the keypoint's weight; ``area`` (G,).  Coordinates are pixels.  The functions return new
arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEYS = ("bbox", "bbox_score", "category_id", "keypoints", "keypoints_visible", "area")
_CORNERS = [0, 1, 2, 1, 2, 3, 0, 3]

PersonLabels = dict[str, NDArray[Any]]


def join_people(parts: Sequence[Mapping[str, Any]]) -> PersonLabels:
    """Return the people of several images (or of their records) as those of one image."""
    return {key: np.concatenate([part[key] for part in parts]) for key in KEYS}


def warp_people(people: Mapping[str, Any], matrix: NDArray[np.float64]) -> PersonLabels:
    """Move people by an affine matrix; a box becomes the upright box around its moved corners.

    Args:
        people: Labels, or a record that holds them.
        matrix: (3, 3) or (2, 3), from pixels to pixels.
    """
    linear, shift = matrix[:2, :2].T, matrix[:2, 2]
    moved = _pick(people)
    if "bbox" in moved:
        corners = moved["bbox"][:, _CORNERS].reshape(-1, 4, 2) @ linear + shift
        moved["bbox"] = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    if "keypoints" in moved:
        moved["keypoints"] = moved["keypoints"] @ linear + shift
    if "area" in moved:
        moved["area"] = moved["area"] * np.linalg.det(linear)
    return {key: np.asarray(value, getattr(people[key], "dtype", None)) for key, value in moved.items()}


def clip_people(people: Mapping[str, Any], size_wh: Sequence[float]) -> PersonLabels:
    """Clip boxes to 0..size and mark keypoints outside as invisible; areas stay, as in MMPose 1.3."""
    size, clipped = np.asarray(size_wh, dtype=np.float32), _pick(people)
    if "bbox" in clipped:
        clipped["bbox"] = np.clip(people["bbox"], 0, np.tile(size, 2)).astype(people["bbox"].dtype)
    if "keypoints" in clipped:
        keypoints, visible = people["keypoints"], people["keypoints_visible"].copy()
        is_outside = ((keypoints < 0) | (keypoints > size)).any(axis=-1)
        visible[(is_outside, 0) if visible.ndim == 3 else is_outside] = 0
        clipped["keypoints_visible"] = visible
    return clipped


def _pick(people: Mapping[str, Any]) -> PersonLabels:
    """Return those of the label arrays that a record has."""
    return {key: people[key] for key in KEYS if people.get(key) is not None}


def flip_people(
    people: Mapping[str, Any], size_wh: Sequence[int], flip_indices: Sequence[int], direction: str = "horizontal"
) -> PersonLabels:
    """Mirror people: x becomes width - 1 - x (horizontal), y height - 1 - y (vertical), or both (diagonal).

    Left and right keypoints swap, except in a diagonal flip, which is a rotation (as in MMPose).

    Args:
        people: Labels, or a record that holds some of the arrays, and optionally ``bbox_center`` (G, 2).
        size_wh: Image width and height.
        flip_indices: Index of the keypoint on the other side of each keypoint.
        direction: ``horizontal``, ``vertical`` or ``diagonal``.

    Returns:
        The arrays that ``people`` has, mirrored.
    """
    moved = {key: people[key].copy() for key in (*KEYS, "bbox_center") if people.get(key) is not None}
    if direction != "diagonal":
        moved.update({key: moved[key][:, flip_indices] for key in moved if key.startswith("keypoints")})
    for axis, name in enumerate(("vertical", "horizontal")):  # what leaves x, and what leaves y
        if direction == name:
            continue
        last = size_wh[axis] - 1
        for key in moved.keys() & {"keypoints", "bbox_center"}:
            moved[key][..., axis] = last - moved[key][..., axis]
        if "bbox" in moved:
            moved["bbox"][:, [axis, axis + 2]] = last - moved["bbox"][:, [axis + 2, axis]]
    return moved
