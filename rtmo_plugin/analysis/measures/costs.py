"""What each kind of error costs: the AP there would be without it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rtmo_plugin.analysis.measures.average_precision import average_precision
from rtmo_plugin.analysis.measures.study import KINDS, Study, measure_oks
from rtmo_plugin.evaluation.records import Comparison, Detections

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


def select_detections(detections: Detections, rows: np.ndarray) -> Detections:
    """Return some of the detections."""
    return Detections(**{field.name: getattr(detections, field.name)[rows] for field in dataclasses.fields(detections)})
