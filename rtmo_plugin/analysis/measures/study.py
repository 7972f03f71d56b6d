"""Which detection is matched with which person, and the error of every keypoint (Ronchi and Perona, ICCV 2017).

A detection is matched with a person at an OKS of at least 0.1, by the rules of the COCO tools.  Two
things differ from the paper: a pair is compared with left and right exchanged as well, so that a
pose that is wholly inverted is an inversion and not a miss; and a detection that is like a person
who has a match already is called a duplicate, not background.

A labeled keypoint of a pair is, by its similarity exp(-d^2 / (2 area (2 sigma)^2)):

- good: at least 0.85 to its own place, and a jitter: at least 0.5;
- an inversion: less, and at least 0.5 to the same person's other side;
- a swap: less, and at least 0.5 to that keypoint, or its other side, of another person in the image;
- a miss: near nothing of these.

Of an inversion and a swap the nearer one counts.

Shapes: D detections that count, M pairs, G people, K keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.evaluation.oks_matching import choose_best, compare_groups
from rtmo_plugin.evaluation.records import Comparison, GroundTruth
from rtmo_plugin.ops.arrays import UNMATCHED, keypoint_similarity, labeled_oks, match_by_score


@dataclass(frozen=True)
class Matches:
    """The partners of the detections that count, which stand image by image, the best ones first."""

    rows: NDArray[Any]  # (D,) indices of the detections
    person: NDArray[Any]  # (T, D) indices of the people, UNMATCHED
    oks: NDArray[Any]  # (T, D) with that person, 0 without one
    nearest_oks: NDArray[Any]  # (D,) the highest with a person of the image


def find_matches(comparison: Comparison, thresholds: NDArray[Any], mirror: NDArray[Any] | None = None) -> Matches:
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


def _list_people(truth: GroundTruth) -> dict[tuple[int, int], NDArray[Any]]:
    """Return the indices of the people of each image and category, rising."""
    group = truth.image * len(truth.category_ids) + truth.category
    order = np.argsort(group, kind="stable")
    groups, starts = np.unique(group[order], return_index=True)
    names = [divmod(int(each), len(truth.category_ids)) for each in groups]
    return dict(zip(names, np.split(order, starts[1:])))


LEAST_OKS = 0.1
NEAR, GOOD = 0.5, 0.85
KINDS = ("good", "jitter", "inversion", "swap", "miss")
UNLABELED = -1


@dataclass(frozen=True)
class Study:
    """Match and errors of every detection and person."""

    comparison: Comparison
    rows: NDArray[Any]  # (D,) indices of the detections that count
    person: NDArray[Any]  # (D,) indices of the people they are matched with, UNMATCHED
    is_neutral: NDArray[Any]  # (D,) matched with an ignored person: neither right nor wrong
    nearest_oks: NDArray[Any]  # (D,) with the most similar person, matched or not
    pairs: NDArray[Any]  # (M,) indices of the D that are matched with a person who counts
    oks: NDArray[Any]  # (M,) of the pairs
    similarity: NDArray[Any]  # (M, K) of each keypoint to its place
    kinds: NDArray[Any]  # (M, K) indices into KINDS, UNLABELED

    @property
    def pair_rows(self) -> NDArray[Any]:
        """(M,) the detection of each pair."""
        rows: NDArray[Any] = self.rows[self.pairs]
        return rows

    @property
    def pair_people(self) -> NDArray[Any]:
        """(M,) the person of each pair."""
        people: NDArray[Any] = self.person[self.pairs]
        return people

    @property
    def is_missed(self) -> NDArray[Any]:
        """(G,) counts, and is not matched."""
        is_missed: NDArray[Any] = ~self.comparison.truth.is_ignored
        is_missed[self.pair_people] = False
        return is_missed

    @property
    def is_false(self) -> NDArray[Any]:
        """(D,) is not matched."""
        is_false: NDArray[Any] = self.person == UNMATCHED
        return is_false

    @property
    def is_duplicate(self) -> NDArray[Any]:
        """(D,) is not matched, and is like a person who is."""
        return self.is_false & (self.nearest_oks >= LEAST_OKS)

    @property
    def matched_oks(self) -> NDArray[Any]:
        """(D,) the OKS with the matched person, 0 without one: the score to be expected."""
        oks = np.zeros(len(self.rows))
        oks[self.pairs] = self.oks
        return oks


def study(comparison: Comparison, flip_pairs: tuple[tuple[int, int], ...]) -> Study:
    """Match detections with people, and name the error of each keypoint.

    Args:
        comparison: People and detections.
        flip_pairs: Pairs of a left and a right keypoint.
    """
    mirror = make_mirror(len(comparison.sigmas), flip_pairs)
    matches = find_matches(comparison, np.array([LEAST_OKS]), mirror)
    person = matches.person[0]
    is_matched = person != UNMATCHED
    is_neutral = is_matched & comparison.truth.is_ignored[person] if len(comparison.truth.image) else is_matched
    pairs = np.flatnonzero(is_matched & ~is_neutral)
    rows, people = matches.rows[pairs], person[pairs]
    similarity = compare_keypoints(comparison, rows, people)
    return Study(
        comparison=comparison,
        rows=matches.rows,
        person=person,
        is_neutral=is_neutral,
        nearest_oks=matches.nearest_oks,
        pairs=pairs,
        oks=measure_oks(comparison, rows, people),
        similarity=similarity,
        kinds=_name_kinds(comparison, rows, people, similarity, mirror),
    )


def make_mirror(num_keypoints: int, flip_pairs: tuple[tuple[int, int], ...]) -> NDArray[Any]:
    """Return the keypoint on the other side of each, (K,); itself for those in the middle."""
    mirror = np.arange(num_keypoints)
    for left, right in flip_pairs:
        mirror[left], mirror[right] = right, left
    return mirror


def compare_keypoints(
    comparison: Comparison, rows: NDArray[Any], people: NDArray[Any], mirror: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Return the similarity (M, K) of detections' keypoints to those of people; 0 for unlabeled keypoints.

    Args:
        comparison: People and detections.
        rows: Indices (M,) of detections.
        people: Indices (M,) of people.
        mirror: Keypoint (K,) of the person that each keypoint is compared with. Default: the same one.
    """
    points, truth = comparison.detections.keypoints[rows], comparison.truth
    there = truth.keypoints[people] if mirror is None else truth.keypoints[people][:, mirror]
    similarity = keypoint_similarity(points - there[..., :2], truth.areas[people], comparison.sigmas)
    return np.where(there[..., 2] > 0, similarity, 0.0)


def measure_oks(comparison: Comparison, rows: NDArray[Any], people: NDArray[Any]) -> NDArray[Any]:
    """Return the OKS (M,) of detections with people; 0 for people without labeled keypoints."""
    points, truth = comparison.detections.keypoints[rows], comparison.truth
    there = truth.keypoints[people]
    return labeled_oks(points, there[..., :2], there[..., 2] > 0, truth.areas[people], comparison.sigmas)


def _name_kinds(
    comparison: Comparison, rows: NDArray[Any], people: NDArray[Any], similarity: NDArray[Any], mirror: NDArray[Any]
) -> NDArray[Any]:
    has_side = mirror != np.arange(len(mirror))
    inverted = compare_keypoints(comparison, rows, people, mirror) * has_side
    swapped = _compare_with_others(comparison, rows, people, mirror)
    kinds = np.select(
        [similarity >= GOOD, similarity >= NEAR, (inverted >= NEAR) & (inverted >= swapped), swapped >= NEAR],
        [KINDS.index(name) for name in KINDS[:-1]],
        KINDS.index("miss"),
    )
    return np.where(comparison.truth.keypoints[people, :, 2] > 0, kinds, UNLABELED)


def _compare_with_others(
    comparison: Comparison, rows: NDArray[Any], people: NDArray[Any], mirror: NDArray[Any]
) -> NDArray[Any]:
    """Return the highest similarity (M, K) of each keypoint to that of another person in the image, of either side."""
    image = comparison.truth.image
    order = np.argsort(image, kind="stable")
    starts = np.searchsorted(image[order], np.arange(len(comparison.truth.image_ids) + 1))
    counts = np.diff(starts)[image[people]]
    ends = np.cumsum(counts)
    within = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
    pair = np.repeat(np.arange(len(people)), counts)
    others = order[starts[image[people]][pair] + within]
    pair, others = pair[others != people[pair]], others[others != people[pair]]
    alike = np.maximum(
        compare_keypoints(comparison, rows[pair], others), compare_keypoints(comparison, rows[pair], others, mirror)
    )
    highest = np.zeros((len(people), len(mirror)))
    np.maximum.at(highest, pair, alike)
    return highest
