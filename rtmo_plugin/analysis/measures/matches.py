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
from rtmo_plugin.ops.arrays import UNMATCHED, match_by_score


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
        partner = match_by_score(values, thresholds, truth.is_ignored[among], truth.is_crowd[among])
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
