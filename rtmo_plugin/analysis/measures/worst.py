"""The images where most goes wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtmo_plugin.analysis.measures.study import KINDS, Study


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
    return [_describe(study, int(index), float(losses[index]), shown_score) for index in order if losses[index] > 0]


def _describe(study: Study, index: int, loss: float, shown_score: float) -> BadImage:
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
