"""Detections and people of one image and category: which of them are compared, and how alike they are."""

from __future__ import annotations

import numpy as np

from rtmo_plugin.evaluation.records import Detections, GroundTruth
from rtmo_plugin.ops.arrays import labeled_oks

MAX_DETECTIONS = 20  # an image and category, the best ones
_NUM_PAIRS_AT_ONCE = 1 << 15  # bounds the memory: 35 MB for 133 keypoints


def choose_best(detections: Detections, num_categories: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which detections count.

    Returns:
        Indices (D,) of the best of each image and category, best first, and these two as one number:
        ``image * num_categories + category`` (D,), which rises.
    """
    group = detections.image * num_categories + detections.category
    order = np.lexsort((-detections.scores, group))  # stable: of equal scores the first comes first
    group = group[order]
    is_first = np.diff(group, prepend=-1) != 0
    starts = np.flatnonzero(is_first)
    rank = np.arange(len(group)) - starts[np.cumsum(is_first) - 1] if len(group) else np.empty(0, int)
    return order[rank < MAX_DETECTIONS], group[rank < MAX_DETECTIONS]


def compare_groups(
    truth: GroundTruth, points: np.ndarray, group: np.ndarray, sigmas: np.ndarray
) -> dict[tuple[int, int], np.ndarray]:
    """Return the OKS of all detections and people that belong together.

    Args:
        truth: G people.
        points: (D, K, 2) keypoints of the detections.
        group: (D,) rising, as ``choose_best`` returns it.
        sigmas: (K,) of the keypoints.

    Returns:
        OKS (N, M) of each image and category that has both, detections in their order by people in
        theirs.
    """
    num_categories = len(truth.category_ids)
    people_group = truth.image * num_categories + truth.category
    people = np.argsort(people_group, kind="stable")
    groups, starts, num_people = np.unique(people_group[people], return_index=True, return_counts=True)
    place = np.minimum(np.searchsorted(groups, group), max(len(groups) - 1, 0))
    is_paired = groups[place] == group if len(groups) else np.zeros(len(group), bool)
    rows, place = np.flatnonzero(is_paired), place[is_paired]
    widths = num_people[place]
    ends = np.cumsum(widths)
    within = np.arange(widths.sum()) - np.repeat(ends - widths, widths)
    partners = people[np.repeat(starts[place], widths) + within]
    oks = compare_pairs(points[np.repeat(rows, widths)], truth, partners, sigmas)
    firsts = np.flatnonzero(np.diff(place, prepend=-1))
    blocks = np.split(oks, (ends - widths)[firsts[1:]]) if len(firsts) else []
    names = [divmod(int(each), num_categories) for each in groups[place[firsts]]]
    return {name: block.reshape(-1, width) for name, block, width in zip(names, blocks, widths[firsts])}


def compare_pairs(points: np.ndarray, truth: GroundTruth, people: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Return the OKS of pairs of a detection and a person, digit for digit as the COCO tools compute it.

    A person without labeled keypoints is compared by box: keypoints within three times its box are hits.

    Args:
        points: Keypoints (M, K, 2) of the detections, in pixels.
        truth: People of the data set.
        people: Index (M,) of the person that each detection is compared with.
        sigmas: Sigmas (K,) of the keypoints.

    Returns:
        OKS (M,) between 0 and 1.
    """
    parts = [np.empty(0)]
    for start in range(0, len(people), _NUM_PAIRS_AT_ONCE):
        chosen = people[start : start + _NUM_PAIRS_AT_ONCE]
        targets = truth.keypoints[chosen]
        parts.append(
            labeled_oks(
                points[start : start + _NUM_PAIRS_AT_ONCE],
                targets[..., :2],
                targets[..., 2] > 0,
                truth.areas[chosen],
                sigmas,
                truth.boxes_xywh[chosen],
            )
        )
    return np.concatenate(parts)
