"""Which detection is matched with which person, and the error of every keypoint (Ronchi and Perona, ICCV 2017).

A detection is matched with a person at an OKS of at least 0.1, by the rules of the COCO tools.  Two
things differ from the paper: a pair is compared with left and right exchanged as well, so that a
pose that is wholly inverted is an inversion and not a miss; and a detection that is like a person
who has a match already is called a duplicate, not background.

A labelled keypoint of a pair is, by its similarity exp(-d^2 / (2 area (2 sigma)^2)):

- good: at least 0.85 to its own place, and a jitter: at least 0.5;
- an inversion: less, and at least 0.5 to the same person's other side;
- a swap: less, and at least 0.5 to that keypoint, or its other side, of another person in the image;
- a miss: near nothing of these.

Of an inversion and a swap the nearer one counts.

Shapes: D detections that count, M pairs, G people, K keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtmo_plugin.analysis.measures.matches import find_matches
from rtmo_plugin.evaluation.records import Comparison
from rtmo_plugin.ops.arrays import UNMATCHED, keypoint_similarity, labeled_oks

LEAST_OKS = 0.1
NEAR, GOOD = 0.5, 0.85
KINDS = ("good", "jitter", "inversion", "swap", "miss")
UNLABELLED = -1


@dataclass(frozen=True)
class Study:
    """Match and errors of every detection and person."""

    comparison: Comparison
    rows: np.ndarray  # (D,) indices of the detections that count
    person: np.ndarray  # (D,) indices of the people they are matched with, UNMATCHED
    is_neutral: np.ndarray  # (D,) matched with an ignored person: neither right nor wrong
    nearest_oks: np.ndarray  # (D,) with the most similar person, matched or not
    pairs: np.ndarray  # (M,) indices of the D that are matched with a person who counts
    oks: np.ndarray  # (M,) of the pairs
    similarity: np.ndarray  # (M, K) of each keypoint to its place
    kinds: np.ndarray  # (M, K) indices into KINDS, UNLABELLED

    @property
    def pair_rows(self) -> np.ndarray:
        """(M,) the detection of each pair."""
        return self.rows[self.pairs]

    @property
    def pair_people(self) -> np.ndarray:
        """(M,) the person of each pair."""
        return self.person[self.pairs]

    @property
    def is_missed(self) -> np.ndarray:
        """(G,) counts, and is not matched."""
        is_missed: np.ndarray = ~self.comparison.truth.is_ignored
        is_missed[self.pair_people] = False
        return is_missed

    @property
    def is_false(self) -> np.ndarray:
        """(D,) is not matched."""
        return self.person == UNMATCHED

    @property
    def is_duplicate(self) -> np.ndarray:
        """(D,) is not matched, and is like a person who is."""
        return self.is_false & (self.nearest_oks >= LEAST_OKS)

    @property
    def matched_oks(self) -> np.ndarray:
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


def make_mirror(num_keypoints: int, flip_pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Return the keypoint on the other side of each, (K,); itself for those in the middle."""
    mirror = np.arange(num_keypoints)
    for left, right in flip_pairs:
        mirror[left], mirror[right] = right, left
    return mirror


def compare_keypoints(
    comparison: Comparison, rows: np.ndarray, people: np.ndarray, mirror: np.ndarray | None = None
) -> np.ndarray:
    """Return the similarity (M, K) of detections' keypoints to those of people; 0 where there is no label.

    Args:
        comparison: People and detections.
        rows: Indices (M,) of detections.
        people: Indices (M,) of people.
        mirror: Keypoint (K,) of the person that each keypoint is compared with. Default: the same one.
    """
    points, truth = comparison.detections.keypoints[rows], comparison.truth
    there = truth.keypoints[people] if mirror is None else truth.keypoints[people][:, mirror]
    return keypoint_similarity(points - there[..., :2], truth.areas[people], comparison.sigmas) * (there[..., 2] > 0)


def measure_oks(comparison: Comparison, rows: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Return the OKS (M,) of detections with people; 0 for people without labeled keypoints."""
    points, truth = comparison.detections.keypoints[rows], comparison.truth
    there = truth.keypoints[people]
    return labeled_oks(points, there[..., :2], there[..., 2] > 0, truth.areas[people], comparison.sigmas)


def _name_kinds(
    comparison: Comparison, rows: np.ndarray, people: np.ndarray, similarity: np.ndarray, mirror: np.ndarray
) -> np.ndarray:
    has_side = mirror != np.arange(len(mirror))
    inverted = compare_keypoints(comparison, rows, people, mirror) * has_side
    swapped = _compare_with_others(comparison, rows, people, mirror)
    kinds = np.select(
        [similarity >= GOOD, similarity >= NEAR, (inverted >= NEAR) & (inverted >= swapped), swapped >= NEAR],
        [KINDS.index(name) for name in KINDS[:-1]],
        KINDS.index("miss"),
    )
    return np.where(comparison.truth.keypoints[people, :, 2] > 0, kinds, UNLABELLED)


def _compare_with_others(
    comparison: Comparison, rows: np.ndarray, people: np.ndarray, mirror: np.ndarray
) -> np.ndarray:
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
