"""Sigmas of a file's keypoints: those of a known set of the same names, else by name, else from the labels.

A sigma is the standard deviation between annotators, relative to the square root of the person's area. One set of
labels cannot show it. But it shows the distance of each keypoint to the nearest other one, and COCO's own sigmas are
close to 0.31 times the median of that distance: over COCO's keypoints with a correlation of 0.94 and a mean factor of
1.14 between the two (worst: the hips, 1.5). A prediction that is off by the distance to the neighboring keypoint then
has an OKS of about exp(-1.3) = 0.27.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.keypoints.installed_sets import find_installed_set
from rtmo_plugin.keypoints.person_boxes import estimate_area
from rtmo_plugin.keypoints.sets import COCO, CROWDPOSE
from rtmo_plugin.keypoints.sides import read_sides, split_side
from rtmo_plugin.structures import KeypointSchema

_SHARE = 0.31
_LOWEST, _HIGHEST = 0.025, 0.107  # COCO's eyes and hips
_TYPICAL = 0.063  # the mean of COCO's, for a keypoint that is never labeled together with another
_MAX_PEOPLE = 10_000  # enough for a median
KNOWN = {split_side(name)[1]: sigma for schema in (CROWDPOSE, COCO) for name, sigma in zip(schema.names, schema.sigmas)}


def find_named_set(names: Sequence[str]) -> KeypointSchema | None:
    """Return the keypoint set of the installed MMPose with exactly these names in this order and with sigmas, if any.

    Args:
        names: K names. Sets that consist of COCO's and CrowdPose's keypoints are not looked for: ``KNOWN`` has these.
    """
    return None if all(part in KNOWN for _, part in read_sides(names).parts) else find_installed_set(names)


def choose_sigmas(names: Sequence[str], people: Sequence[dict[str, Any]]) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return K sigmas and where each comes from: ``known`` by name, ``estimated`` or ``typical``.

    Args:
        names: K names; spelling and side do not matter, so ``WristL`` is known.
        people: COCO annotations with K keypoints each, to estimate from.
    """
    parts = [part for _, part in read_sides(names).parts]
    estimates: dict[str, list[float]] = {}
    for part, estimate in zip(parts, estimate_sigmas(people, len(names)).tolist()):
        estimates.setdefault(part, []).append(estimate)
    chosen = {}  # by part, so that both sides share a sigma
    for part, values in estimates.items():
        usable = [value for value in values if not math.isnan(value)]
        if part in KNOWN:
            chosen[part] = KNOWN[part], "known"
        else:
            chosen[part] = (round(sum(usable) / len(usable), 3), "estimated") if usable else (_TYPICAL, "typical")
    return tuple(chosen[part][0] for part in parts), tuple(chosen[part][1] for part in parts)


def estimate_sigmas(people: Sequence[dict[str, Any]], num_keypoints: int) -> NDArray[np.float64]:
    """Return K sigmas from the distances between keypoints; NaN for keypoints without distances.

    Args:
        people: COCO annotations; those without a positive area and without box do not count.
        num_keypoints: K.
    """
    step = max(1, len(people) // _MAX_PEOPLE)
    sized = [(person, float(person.get("area") or estimate_area(person["bbox"]))) for person in people[::step]]
    kept = [(person["keypoints"], area) for person, area in sized if area > 0]
    points = np.array([keypoints for keypoints, _ in kept], float).reshape(-1, num_keypoints, 3)
    scales = np.sqrt([area for _, area in kept])
    is_labeled = points[..., 2] > 0
    nearest = np.full(points.shape[:2], np.inf)
    for other in range(num_keypoints):
        distances = np.linalg.norm(points[..., :2] - points[:, other : other + 1, :2], axis=-1) / scales[:, None]
        is_pair = is_labeled & is_labeled[:, other : other + 1] & (np.arange(num_keypoints) != other)
        nearest = np.where(is_pair, np.minimum(nearest, distances), nearest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # for a keypoint without any distance, which stays NaN
        medians = np.nanmedian(np.where(np.isfinite(nearest), nearest, np.nan), axis=0)
    return np.asarray(np.clip(_SHARE * medians, _LOWEST, _HIGHEST))
