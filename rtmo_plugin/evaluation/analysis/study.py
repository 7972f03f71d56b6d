"""Who answered whom, and what became of every keypoint (after Ronchi and Perona, ICCV 2017).

An answer is a detection matched with a person at an OKS of 0.1, by the COCO tools' rules.  Two
things differ from the paper: a pair is compared with left and right exchanged as well, so that a
pose that is wholly inverted is an inversion and not a miss; and a detection that is like somebody
who is taken already is called a duplicate, not background.

A labelled keypoint of a pair is, by its similarity exp(-d^2 / (2 area (2 sigma)^2)):

- good: at least 0.85 to its own place, and a jitter: at least 0.5;
- an inversion: less, and at least 0.5 to the same person's other side;
- a swap: less, and at least 0.5 to that keypoint, or its other side, of somebody else in the image;
- a miss: near nothing of these.

Of an inversion and a swap the nearer one counts.

Shapes: D detections that count, M pairs, G people, K keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtmo_plugin.evaluation.analysis.answers import NOBODY, find_answers
from rtmo_plugin.evaluation.records import Comparison

LEAST_OKS = 0.1
NEAR, GOOD = 0.5, 0.85
KINDS = ("good", "jitter", "inversion", "swap", "miss")
UNLABELLED = -1


@dataclass(frozen=True)
class Study:
    """What the analysis knows of every detection and person."""

    comparison: Comparison
    rows: np.ndarray  # (D,) indices of the detections that count
    person: np.ndarray  # (D,) indices of the people they answer, NOBODY
    is_neutral: np.ndarray  # (D,) answers somebody who is ignored: neither right nor wrong
    nearest_oks: np.ndarray  # (D,) with whoever is most alike, taken or not
    pairs: np.ndarray  # (M,) which of the D answer somebody who counts
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
        """(G,) counts, and is not answered."""
        is_missed: np.ndarray = ~self.comparison.truth.is_ignored
        is_missed[self.pair_people] = False
        return is_missed

    @property
    def is_false(self) -> np.ndarray:
        """(D,) answers nobody."""
        return self.person == NOBODY

    @property
    def is_duplicate(self) -> np.ndarray:
        """(D,) answers nobody, and is like somebody who is taken."""
        return self.is_false & (self.nearest_oks >= LEAST_OKS)

    @property
    def answered_oks(self) -> np.ndarray:
        """(D,) the OKS with the person it answers, 0 for nobody: what a score should say."""
        oks = np.zeros(len(self.rows))
        oks[self.pairs] = self.oks
        return oks


def study(comparison: Comparison, flip_pairs: tuple[tuple[int, int], ...]) -> Study:
    """Find out who answers whom, and what is wrong with each keypoint.

    Args:
        comparison: The people and the detections.
        flip_pairs: Keypoints of the left and the right.
    """
    mirror = make_mirror(len(comparison.sigmas), flip_pairs)
    answers = find_answers(comparison, np.array([LEAST_OKS]), mirror)
    person = answers.person[0]
    is_answer = person != NOBODY
    is_neutral = is_answer & comparison.truth.is_ignored[person] if len(comparison.truth.image) else is_answer
    pairs = np.flatnonzero(is_answer & ~is_neutral)
    rows, people = answers.rows[pairs], person[pairs]
    similarity = compare_keypoints(comparison, rows, people)
    return Study(
        comparison=comparison,
        rows=answers.rows,
        person=person,
        is_neutral=is_neutral,
        nearest_oks=answers.nearest_oks,
        pairs=pairs,
        oks=compare_poses(comparison, rows, people),
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
        comparison: The people and the detections.
        rows: (M,) detections.
        people: (M,) people.
        mirror: (K,) compare each keypoint with this one of the person.
    """
    points, truth = comparison.detections.keypoints[rows], comparison.truth
    there = truth.keypoints[people] if mirror is None else truth.keypoints[people][:, mirror]
    distances = ((points - there[..., :2]) ** 2).sum(-1)
    widths = 2 * (2 * comparison.sigmas) ** 2 * (truth.areas[people, None] + np.spacing(1))
    return np.exp(-distances / widths) * (there[..., 2] > 0)


def compare_poses(comparison: Comparison, rows: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Return the OKS (M,) of detections with people."""
    num_labelled = (comparison.truth.keypoints[people, :, 2] > 0).sum(1)
    return compare_keypoints(comparison, rows, people).sum(1) / np.maximum(num_labelled, 1)


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
    """Return the highest similarity (M, K) of each keypoint to that of somebody else in the image, of either side."""
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
