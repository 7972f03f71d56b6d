"""Predictions of a data set: from what was kept of its samples to the detections that are matched.

Rules, beside those of the options:

- scores outside of 0 to 1 are taken as they are, after one warning: AP depends on their order only;
- a detection none of whose keypoints has a score above 0 does not count (as in xtcocotools);
- a sample that comes twice counts once;
- an image or a category that the ground truth does not have is an error.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.logging import print_log

from rtmo_plugin.errors import DataError
from rtmo_plugin.evaluation.duplicates import suppress
from rtmo_plugin.evaluation.metric_options import MetricOptions
from rtmo_plugin.evaluation.records import Detections, GroundTruth, SampleResult
from rtmo_plugin.evaluation.scoring import rescore


@dataclass(frozen=True)
class Predictions:
    """The predictions of all samples, ranked and suppressed, in the precision in which they came."""

    image_ids: list[Hashable]  # D
    category_ids: np.ndarray  # (D,)
    keypoints: np.ndarray  # (D, K, 2)
    keypoint_scores: np.ndarray  # (D, K)
    scores: np.ndarray  # (D,)
    boxes_xywh: np.ndarray | None  # (D, 4)


def drop_repeated(results: Sequence[SampleResult]) -> list[SampleResult]:
    """Return each sample once, those of top-down models in the order of their ids.

    Samplers give samples twice so that all processes get equally many, and the processes return them
    in an order of their own.
    """
    unique = list({(result.image_id, result.sample_id): result for result in reversed(results)}.values())[::-1]
    if any(isinstance(result.sample_id, tuple) for result in unique):
        return unique
    return sorted(unique, key=lambda result: result.sample_id)  # type: ignore[arg-type, return-value]


def rank_predictions(
    results: Sequence[SampleResult], options: MetricOptions, num_keypoints: int, sigmas: np.ndarray
) -> Predictions:
    """Return the predictions of all samples with the scores that rank them, after suppression."""
    boxes = [result.boxes_xywh for result in results if result.boxes_xywh is not None]
    counts = [len(result.keypoints) for result in results]
    keypoint_scores = _join([result.keypoint_scores for result in results], (0, num_keypoints))
    box_scores = _join([result.scores for result in results], (0,))
    _warn_of_scores(box_scores, keypoint_scores)
    all_found = Predictions(
        image_ids=[result.image_id for result, count in zip(results, counts) for _ in range(count)],
        category_ids=_join([result.category_ids for result in results], (0,)),
        keypoints=_join([result.keypoints for result in results], (0, num_keypoints, 2)),
        keypoint_scores=keypoint_scores,
        scores=rescore(options.score_mode, box_scores, keypoint_scores, options.keypoint_score_thr),
        boxes_xywh=_join(boxes, (0, 4)) if len(boxes) == len(results) else None,
    )
    if options.nms_mode == "none":
        return all_found
    extents = all_found.keypoints.max(1) - all_found.keypoints.min(1)
    ends = np.cumsum(counts)
    areas = [
        extents[end - count : end].prod(1) if result.areas is None else result.areas
        for result, count, end in zip(results, counts, ends)
    ]
    return _suppress_each_image(all_found, _join(areas, (0,)), options, sigmas)


def _join(arrays: list[np.ndarray], empty: tuple[int, ...]) -> np.ndarray:
    # Empty arrays are left out: their type would decide the others'.
    return np.concatenate([each for each in arrays if len(each)] or [np.empty(empty)])


def _warn_of_scores(*all_scores: np.ndarray) -> None:
    lowest = min(float(scores.min()) for scores in all_scores if scores.size) if all_scores[0].size else 0
    highest = max(float(scores.max()) for scores in all_scores if scores.size) if all_scores[0].size else 1
    if lowest < 0 or highest > 1:
        print_log(
            f"Predicted scores go from {lowest:.3g} to {highest:.3g}, outside of 0 to 1: they are ranked as they are.",
            logger="current",
            level=logging.WARNING,
        )


def _suppress_each_image(
    found: Predictions, areas: np.ndarray, options: MetricOptions, sigmas: np.ndarray
) -> Predictions:
    rows: dict[Hashable, list[int]] = {}
    for row, image_id in enumerate(found.image_ids):
        rows.setdefault(image_id, []).append(row)
    kept: list[int] = []
    for of_image in rows.values():
        chosen = suppress(
            options.nms_mode,
            found.keypoints[of_image],
            found.scores[of_image],
            areas[of_image],
            sigmas,
            options.nms_thr,
        )
        kept.extend(of_image[index] for index in chosen)
    return Predictions(
        image_ids=[found.image_ids[row] for row in kept],
        category_ids=found.category_ids[kept],
        keypoints=found.keypoints[kept],
        keypoint_scores=found.keypoint_scores[kept],
        scores=found.scores[kept],
        boxes_xywh=None if found.boxes_xywh is None else found.boxes_xywh[kept],
    )


def find_detections(found: Predictions, truth: GroundTruth, where: str) -> Detections:
    """Return predictions by their place in the ground truth, in double precision.

    The area of a detection is that of its box, or without boxes that of its keypoints' extent.

    Raises:
        DataError: An image or category is not in the ground truth.
    """
    images = {each: index for index, each in enumerate(truth.image_ids)}
    categories = {each: index for index, each in enumerate(truth.category_ids)}
    _refuse_unknown("image", set(found.image_ids) - set(images), where)
    _refuse_unknown("category", set(found.category_ids.tolist()) - set(categories), where)
    keypoints = found.keypoints.astype(np.float64)
    sizes = keypoints.max(1) - keypoints.min(1) if found.boxes_xywh is None else found.boxes_xywh[:, 2:]
    counts = (found.keypoint_scores > 0).any(1)
    return Detections(
        image=np.array([images[each] for each in found.image_ids], int)[counts],
        category=np.array([categories[each] for each in found.category_ids.tolist()], int)[counts],
        keypoints=keypoints[counts],
        keypoint_scores=found.keypoint_scores.astype(np.float64)[counts],
        scores=found.scores.astype(np.float64)[counts],
        areas=sizes.astype(np.float64).prod(1)[counts],
    )


def _refuse_unknown(what: str, unknown: set[Any], where: str) -> None:
    if unknown:
        first = min(unknown, key=str)  # ids may be numbers and text
        raise DataError(
            f"There are predictions of {what} {first}, which {where} does not list ({len(unknown)} such ids): "
            "do the metric's annotations belong to the evaluated data set?"
        )
