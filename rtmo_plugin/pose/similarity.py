"""How much two people found in one image are the same person."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.runtime.people import People

Floats = NDArray[np.floating[Any]]

_AREA_OF_BOX = 0.53  # as CrowdPose's evaluation assumes
_TINY = 1e-6


def compare_people(first: People, second: People, sigmas: Floats) -> Floats:
    """Return the OKS (N, M) of all pairs, relative to the larger of the two; 0 for different classes.

    Args:
        first: N people.
        second: M people.
        sigmas: (K,) sigmas of the keypoints.
    """
    areas = np.maximum(_measure_areas(first.boxes)[:, None], _measure_areas(second.boxes))
    distances = np.square(first.keypoints[:, None] - second.keypoints).sum(axis=-1) / areas[..., None]
    weights = first.keypoint_scores[:, None] * second.keypoint_scores + _TINY
    oks = (weights * np.exp(-distances / (2 * np.square(2 * sigmas)))).sum(axis=-1) / weights.sum(axis=-1)
    similarities: Floats = np.where(first.labels[:, None] == second.labels, oks, 0.0)
    return similarities


def _measure_areas(boxes: Floats) -> Floats:
    areas: Floats = _AREA_OF_BOX * np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0).prod(axis=-1)
    return areas


def join(parts: list[People]) -> People:
    """Return all people of one or more groups as one."""
    names = ("boxes", "scores", "keypoints", "keypoint_scores", "labels")
    return People(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
