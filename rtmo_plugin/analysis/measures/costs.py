"""What each kind of error costs, in AP and in words, and the images where most goes wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.analysis.measures.average_precision import average_precision
from rtmo_plugin.analysis.measures.study import KINDS, Study, measure_oks
from rtmo_plugin.evaluation.records import Comparison, DatasetDetections

# In the order in which they are put right one after the other.
ERRORS = ("miss", "swap", "inversion", "jitter", "duplicate", "background", "missed", "ranking")


@dataclass(frozen=True)
class Cost:
    """One kind of error.

    Attributes:
        name: One of ``ERRORS``.
        count: Number of keypoints, detections or people; 0 for the ranking, which has no number.
        alone: AP that is gained when this kind alone is put right.
        in_turn: AP that is gained when it is put right after those before it.  What these and the AP
            lack to 1 are keypoints that are good, and still not in their place.
    """

    name: str
    count: int
    alone: float
    in_turn: float


def measure_costs(study: Study) -> list[Cost]:
    """Return what each kind of error costs.

    A keypoint is put right by moving it to its place, the ranking by taking OKS for the score, false
    detections by leaving them out, and missed people by not asking for them.
    """
    counts = count_errors(study)
    alone = {name: average_precision(correct(study, [name])) for name in ERRORS}
    steps = [average_precision(correct(study, ERRORS[:number])) for number in range(len(ERRORS) + 1)]
    return [
        Cost(name, counts[name], alone[name] - steps[0], after - before)
        for name, before, after in zip(ERRORS, steps, steps[1:])
    ]


def count_errors(study: Study) -> dict[str, int]:
    """Return how many errors of each kind there are."""
    keypoints = {name: int((study.kinds == index).sum()) for index, name in enumerate(KINDS)}
    return {
        **{name: keypoints[name] for name in KINDS[1:]},
        "ranking": 0,
        "duplicate": int(study.is_duplicate.sum()),
        "background": int((study.is_false & ~study.is_duplicate).sum()),
        "missed": int(study.is_missed.sum()),
    }


def correct(study: Study, errors: Iterable[str]) -> Comparison:
    """Return the comparison as it would be without some kinds of errors."""
    errors = set(errors)
    truth, detections = study.comparison.truth, study.comparison.detections
    wrong = np.isin(study.kinds, [KINDS.index(name) for name in errors & set(KINDS)])
    keypoints, scores = detections.keypoints.copy(), detections.scores.copy()
    places = truth.keypoints[study.pair_people, :, :2]
    keypoints[study.pair_rows] = np.where(wrong[..., None], places, keypoints[study.pair_rows])
    moved = dataclasses.replace(study.comparison, detections=dataclasses.replace(detections, keypoints=keypoints))
    if "ranking" in errors:
        scores[study.rows] = 0
        scores[study.pair_rows] = measure_oks(moved, study.pair_rows, study.pair_people)
    is_background = study.is_false & ~study.is_duplicate
    is_left_out = (study.is_duplicate & ("duplicate" in errors)) | (is_background & ("background" in errors))
    return Comparison(
        truth=dataclasses.replace(truth, is_ignored=truth.is_ignored | (study.is_missed & ("missed" in errors))),
        detections=select_detections(dataclasses.replace(moved.detections, scores=scores), study.rows[~is_left_out]),
        sigmas=study.comparison.sigmas,
    )


def select_detections(detections: DatasetDetections, rows: NDArray[Any]) -> DatasetDetections:
    """Return some of the detections."""
    values = {field.name: getattr(detections, field.name) for field in dataclasses.fields(detections)}
    chosen: dict[str, Any] = {name: None if value is None else value[rows] for name, value in values.items()}
    return DatasetDetections(**chosen)


LEAST_COST = 0.005  # half a point of AP: what costs less is not named

TITLES = {
    "jitter": "Jitter",
    "inversion": "Inversion",
    "swap": "Swap",
    "miss": "Miss",
    "duplicate": "Duplicates",
    "background": "Background",
    "missed": "Missed people",
    "ranking": "Ranking",
}
MEANINGS = {
    "jitter": "the keypoint is near its place, not on it (similarity 0.5 to 0.85)",
    "inversion": "the keypoint is on the person's other side: left and right are exchanged",
    "swap": "the keypoint is on another person",
    "miss": "the keypoint is near nothing that it could be confused with",
    "duplicate": "a detection of a person who was found already",
    "background": "a detection away from every person",
    "missed": "no detection is matched with the person",
    "ranking": "scores put worse poses before better ones; measured with the OKS as the score",
}
_UNITS = {"duplicate": "detections", "background": "detections", "missed": "people"}


@dataclass(frozen=True)
class Finding:
    """One kind of error that costs more than half a point of AP when looked at by itself."""

    name: str
    title: str
    words: str


def find_what_matters(costs: list[Cost], study: Study) -> list[Finding]:
    """Return the kinds of errors that cost at least ``LEAST_COST``, dearest first."""
    dear = sorted((cost for cost in costs if cost.alone >= LEAST_COST), key=lambda cost: -cost.alone)
    totals = {"duplicate": len(study.rows), "background": len(study.rows)}
    totals["missed"] = int((~study.comparison.truth.is_ignored).sum())
    findings = []
    for cost in dear:
        total = totals.get(cost.name, int((study.kinds >= 0).sum()))
        unit = _UNITS.get(cost.name, "keypoints of the people found")
        amount = f" {cost.count:,} of {total:,} {unit} ({cost.count / max(total, 1):.1%})." if cost.count else ""
        words = f"{100 * cost.alone:.1f} points of AP; {MEANINGS[cost.name]}.{amount}"
        findings.append(Finding(cost.name, TITLES[cost.name], words))
    return findings


@dataclass(frozen=True)
class BadImage:
    """What went wrong in one image."""

    index: int  # into the images of the ground truth
    loss: float
    num_people: int
    num_missed: int
    num_false: int  # detections with a score of at least ``shown_score``
    num_keypoints: dict[str, int]  # by the kind of error


def find_worst_images(study: Study, num_images: int, shown_score: float) -> list[BadImage]:
    """Return the images with the highest loss, worst first.

    The loss of an image is the sum of 1 - OKS of its people, 1 for a missed one, and of the scores of its
    false detections.

    Args:
        study: Matches and errors of an evaluation.
        num_images: Largest number of images; images without a loss are left out.
        shown_score: Lowest score of the false detections that are counted.
    """
    truth, detections = study.comparison.truth, study.comparison.detections
    size = len(truth.image_ids)
    false = study.rows[study.is_false]
    # Not in place: without rows bincount returns integers, whatever the weights are.
    losses = (
        np.bincount(truth.image[study.pair_people], 1 - study.oks, size)
        + np.bincount(truth.image[study.is_missed], minlength=size)
        + np.bincount(detections.image[false], np.clip(detections.scores[false], 0, 1), size)
    )
    order = np.argsort(-losses, kind="stable")[:num_images]
    bad = [int(index) for index in order if losses[index] > 0]
    return [_describe_image(study, index, float(losses[index]), shown_score) for index in bad]


def _describe_image(study: Study, index: int, loss: float, shown_score: float) -> BadImage:
    truth, detections = study.comparison.truth, study.comparison.detections
    false = study.rows[study.is_false]
    kinds = study.kinds[truth.image[study.pair_people] == index]
    return BadImage(
        index=index,
        loss=loss,
        num_people=int(((truth.image == index) & ~truth.is_ignored).sum()),
        num_missed=int(((truth.image == index) & study.is_missed).sum()),
        num_false=int(((detections.image[false] == index) & (detections.scores[false] >= shown_score)).sum()),
        num_keypoints={name: int((kinds == place).sum()) for place, name in enumerate(KINDS) if place},
    )
