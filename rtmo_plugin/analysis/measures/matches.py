"""Which detection is matched with which person: the greedy matching of the COCO tools, person by person.

``evaluation.matching`` has the same matching inside of a library, which returns precision and recall
only.  Here each partner is known, so that errors can be named and images resampled.

Shapes: T thresholds of OKS, D detections that count, G people, N and M those of one image and category.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtmo_plugin.evaluation.pairs import choose_best, compare_groups
from rtmo_plugin.evaluation.records import Comparison, GroundTruth

UNMATCHED = -1


@dataclass(frozen=True)
class Matches:
    """The partners of the detections that count, which stand image by image, the best ones first."""

    rows: np.ndarray  # (D,) indices of the detections
    person: np.ndarray  # (T, D) indices of the people, UNMATCHED
    oks: np.ndarray  # (T, D) with that person, 0 without one
    nearest_oks: np.ndarray  # (D,) the highest with a person of the image


def find_matches(comparison: Comparison, thresholds: np.ndarray, mirror: np.ndarray | None = None) -> Matches:
    """Match the detections with the people, the best score first, at each threshold by itself.

    Args:
        comparison: People and detections.
        thresholds: Least OKS (T,) of a match.
        mirror: Keypoint (K,) on the other side of each.  With it a pair is compared both ways, and the higher
            OKS counts: a detection with left and right exchanged is matched all the same.
    """
    truth, detections = comparison.truth, comparison.detections
    rows, group = choose_best(detections, len(truth.category_ids))
    points = detections.keypoints[rows]
    oks = compare_groups(truth, points, group, comparison.sigmas)
    if mirror is not None:
        mirrored = compare_groups(truth, points[:, mirror], group, comparison.sigmas)
        oks = {name: np.maximum(values, mirrored[name]) for name, values in oks.items()}
    people = _list_people(truth)
    matches = Matches(
        rows,
        np.full((len(thresholds), len(rows)), UNMATCHED),
        np.zeros((len(thresholds), len(rows))),
        np.zeros(len(rows)),
    )
    for name, values in oks.items():
        place = np.searchsorted(group, name[0] * len(truth.category_ids) + name[1])
        columns = slice(place, place + len(values))
        among = people[name]
        partner = match_group(values, truth.is_ignored[among], truth.is_crowd[among], thresholds)
        is_matched = partner != UNMATCHED
        matches.person[:, columns] = np.where(is_matched, among[partner], UNMATCHED)
        matches.oks[:, columns] = np.where(is_matched, values[np.arange(len(values)), partner], 0)
        matches.nearest_oks[columns] = values.max(1)
    return matches


def _list_people(truth: GroundTruth) -> dict[tuple[int, int], np.ndarray]:
    """Return the indices of the people of each image and category, rising."""
    group = truth.image * len(truth.category_ids) + truth.category
    order = np.argsort(group, kind="stable")
    groups, starts = np.unique(group[order], return_index=True)
    names = [divmod(int(each), len(truth.category_ids)) for each in groups]
    return dict(zip(names, np.split(order, starts[1:])))


def match_group(oks: np.ndarray, is_ignored: np.ndarray, is_crowd: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Match the detections of one image and category with its people by the rules of the COCO tools.

    Each detection takes the most similar person who is free; a crowd is always free; people who do not
    count are taken only where no other is similar enough; of equals the last.

    Args:
        oks: OKS (N, M) of detections, best score first, and people.
        is_ignored: Whether (M,) a person does not count.
        is_crowd: Whether (M,) a person is a crowd.
        thresholds: Least OKS (T,) of a match.

    Returns:
        Index (T, N) of the person of each detection, UNMATCHED without one.
    """
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    is_free = np.ones((len(thresholds), oks.shape[1]), bool)
    partner = np.full((len(thresholds), len(oks)), UNMATCHED)
    for index, row in enumerate(oks):
        if row.max() < least.min():
            continue
        is_possible = (row >= least) & is_free
        counts = is_possible & ~is_ignored
        is_possible = np.where(counts.any(1, keepdims=True), counts, is_possible)
        last = oks.shape[1] - 1 - np.argmax(np.where(is_possible, row, -1.0)[:, ::-1], axis=1)
        found = np.flatnonzero(is_possible.any(1))
        partner[found, index] = last[found]
        is_free[found, last[found]] = is_crowd[last[found]]
    return partner
