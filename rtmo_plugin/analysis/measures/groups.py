"""AP of some of the people: by their size, by how crowded their image is, by how many keypoints they show."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.evaluation.oks_matching import Matcher
from rtmo_plugin.evaluation.records import Comparison, Curves, GroundTruth

SIZES = (0, 32, 64, 96, 192, 1e5)  # square root of the area, in pixels
CROWDINGS = (0.0, 0.05, 0.2, 0.5, 0.8, np.inf)
COUNTS = (1, 6, 11, 15)  # of visible keypoints, and all


@dataclass(frozen=True)
class GroupResult:
    """The numbers of some of the people."""

    name: str
    num_people: int
    precision: float  # AP, -1 for a group without people
    recall: float  # AR


def split_by_size(comparison: Comparison) -> list[GroupResult]:
    """Return AP by the square root of a person's area; false detections count by their own size, as in COCO."""
    truth = comparison.truth
    names = _name_ranges(SIZES, "{:g} to {:g}", "above {:g}")
    areas = {name: (low**2, high**2) for name, low, high in zip(names, SIZES, SIZES[1:])}
    curves = Matcher(comparison).match(areas=areas)
    place = np.digitize(np.sqrt(truth.areas), SIZES[1:-1], right=True)
    counts = np.bincount(place[~truth.is_ignored], minlength=len(names))
    return [_summarize(name, int(counts[index]), curves, index) for index, name in enumerate(names)]


def split_by_crowding(comparison: Comparison) -> list[GroupResult]:
    """Return AP by how crowded the image is, see ``measure_crowding``; those of the data set where it has them."""
    truth = comparison.truth
    crowding = measure_crowding(truth) if truth.crowd_index is None else truth.crowd_index
    place = np.digitize(crowding, CROWDINGS[1:-1])
    names = _name_ranges(CROWDINGS, "{:g} to {:g}", "above {:g}")
    matcher = Matcher(comparison)
    counts = np.bincount(place[truth.image[~truth.is_ignored]], minlength=len(names))
    return [
        _summarize(name, int(counts[index]), matcher.match(np.flatnonzero(place == index)))
        for index, name in enumerate(names)
    ]


def split_by_visibility(comparison: Comparison) -> list[GroupResult]:
    """Return AP by how many labeled keypoints a person has.

    False detections belong to no person, and count in each group in full: between groups of very
    different sizes AR compares better.
    """
    truth = comparison.truth
    num_keypoints = (truth.keypoints[..., 2] > 0).sum(1)
    limits = (*(count for count in COUNTS if count <= truth.keypoints.shape[1]), truth.keypoints.shape[1] + 1)
    results = []
    for low, high in itertools.pairwise(limits):
        name = f"{low} to {high - 1}" if high - low > 1 else f"{low}"
        is_in = (low <= num_keypoints) & (num_keypoints < high) & ~truth.is_ignored
        others = dataclasses.replace(truth, is_ignored=~is_in)
        curves = Matcher(dataclasses.replace(comparison, truth=others)).match()
        results.append(_summarize(name, int(is_in.sum()), curves))
    return results


def measure_crowding(truth: GroundTruth) -> NDArray[Any]:
    """Return CrowdPose's crowd index (I,) of each image: 0 where no person is near another.

    The mean over an image's people of how many keypoints of others lie in their box, for each of
    their own (CrowdPose, section 3.1).  On CrowdPose's validation images four of five come out as in
    the file, to two digits; how the others were counted is not published.
    """
    crowding = np.zeros(len(truth.image_ids))
    is_labeled = truth.keypoints[..., 2] > 0
    for image in np.unique(truth.image[~truth.is_ignored]):
        among = np.flatnonzero((truth.image == image) & ~truth.is_ignored)
        points, boxes = truth.keypoints[among, :, :2], truth.boxes_xywh[among]
        corner, size = boxes[:, None, None, :2], boxes[:, None, None, 2:]
        is_inside = ((points >= corner) & (points <= corner + size)).all(-1) & is_labeled[among]
        inside = is_inside.sum(-1).astype(float)  # (box, person)
        own = np.diagonal(inside)
        crowding[image] = ((inside.sum(1) - own) / np.maximum(is_labeled[among].sum(1), 1)).mean()
    return crowding


def _name_ranges(limits: tuple[float, ...], between: str, above: str) -> list[str]:
    inner = [between.format(low, high) for low, high in itertools.pairwise(limits[:-1])]
    return [*inner, above.format(limits[-2])]


def _summarize(name: str, num_people: int, curves: Curves, area: int = 0) -> GroupResult:
    values = {"precision": curves.precision[..., area], "recall": curves.recall[..., area]}
    means = {key: float(each[each > -1].mean()) if (each > -1).any() else -1.0 for key, each in values.items()}
    return GroupResult(name, num_people, **means)
