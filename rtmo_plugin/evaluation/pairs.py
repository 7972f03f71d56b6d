"""Detections and people of one image and category: which of them are compared, and how alike they are."""

from __future__ import annotations

import numpy as np

from rtmo_plugin.evaluation.oks_arrays import compute_oks
from rtmo_plugin.evaluation.records import Detections, GroundTruth

MAX_DETECTIONS = 20  # an image and category, the best ones


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
    oks = compute_oks(points[np.repeat(rows, widths)], truth, partners, sigmas)
    firsts = np.flatnonzero(np.diff(place, prepend=-1))
    blocks = np.split(oks, (ends - widths)[firsts[1:]]) if len(firsts) else []
    names = [divmod(int(each), num_categories) for each in groups[place[firsts]]]
    return {name: block.reshape(-1, width) for name, block, width in zip(names, blocks, widths[firsts])}
