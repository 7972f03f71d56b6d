"""Predictions of a data set: read and checked sample by sample, scored, freed of duplicates, made ready to be matched.

Rules, beside those of the options:

- keypoints, boxes and scores that are not finite, and another number of keypoints than the data set has, are
  errors: they show a broken model or a config that does not belong to it;
- scores outside of 0 to 1 are taken as they are, after one warning: AP depends on their order only;
- a detection none of whose keypoints has a score above 0 does not count (as in xtcocotools);
- a sample that comes twice counts once;
- an image or a category that the ground truth does not have is an error.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.logging import print_log
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError
from rtmo_plugin.evaluation.oks_matching import MAX_DETECTIONS
from rtmo_plugin.evaluation.records import DatasetDetections, GroundTruth, KeypointMapping, MetricOptions, SampleResult
from rtmo_plugin.ops.arrays import greedy_nms, keypoint_similarity


def parse_sample(
    sample: Mapping[str, Any],
    num_keypoints: int,
    mapping: KeypointMapping | None = None,
    category_ids: Sequence[int] | None = None,
) -> SampleResult:
    """Return what evaluation needs of one sample's predictions.

    Args:
        sample: A ``PoseDataSample`` as a dict, with ``img_id``, ``id`` and ``pred_instances``:
            ``keypoints`` (N, K, 2) and ``keypoint_scores`` (N, K), and if they are there ``bboxes``
            (N, 4), ``bbox_scores`` (N,), ``category_ids`` (N,), ``labels`` (N,) and ``keypoint_deviations``
            (N, K, 2), in pixels of the input where the sample has an ``input_size``, else of the image.  All are of
            category ``category_id`` where the sample has one; else of those in ``category_ids``; else of their label's
            in the data set's, or of label + 1, as MMPose counts; else of category 1.
        num_keypoints: Number of keypoints K of the data set.
        mapping: Mapping from the model's keypoints to the data set's.
        category_ids: Category ids of the data set, by label.

    Raises:
        DataError: A shape is wrong, or a number is not finite.
    """
    if "pred_instances" not in sample:
        raise DataError("The samples have no `pred_instances`: evaluation needs a model's predictions.")
    found, image_id = sample["pred_instances"], _unwrap(sample["img_id"])
    keypoints, keypoint_scores = (_to_numpy(found[name]) for name in ("keypoints", "keypoint_scores"))
    if not len(keypoints):  # for no people some models return an empty array of any shape
        keypoints, keypoint_scores = keypoints.reshape(0, num_keypoints, 2), keypoint_scores.reshape(0, num_keypoints)
    elif mapping and keypoints.ndim == 3:
        keypoints, keypoint_scores = mapping.apply(keypoints), mapping.apply(keypoint_scores)
    given = sample.get("gt_instances", {})
    boxes = _to_numpy(found["bboxes"]) if "bboxes" in found else None
    scores = np.ones(len(keypoints))
    if "bbox_scores" in found:
        scores = _to_numpy(found["bbox_scores"])
    elif len(given.get("bbox_scores", ())) == len(keypoints):  # of the boxes that a top-down model was given
        scores = _to_numpy(given["bbox_scores"])
    # A top-down model was given boxes, whose areas NMS compares.
    has_areas = "bbox_scales" in given and len(given["bbox_scales"]) == len(keypoints)
    result = SampleResult(
        image_id=image_id,
        sample_id=_unwrap(sample.get("id", ())),
        category_ids=_find_categories(sample, len(keypoints), category_ids),
        keypoints=keypoints,
        keypoint_scores=keypoint_scores,
        scores=scores,
        boxes_xywh=None if boxes is None else np.concatenate([boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]], 1),
        areas=_to_numpy(given["bbox_scales"]).prod(1) if has_areas else None,
        deviations=_read_deviations(sample, mapping) if len(keypoints) else None,
    )
    _check(result, num_keypoints)
    return result


def _read_deviations(sample: Mapping[str, Any], mapping: KeypointMapping | None) -> NDArray[Any] | None:
    """Return the standard deviations (N, K, 2) of keypoints in pixels of the image, if there are any."""
    if "keypoint_deviations" not in sample["pred_instances"]:
        return None
    deviations = _to_numpy(sample["pred_instances"]["keypoint_deviations"])
    if "input_size" in sample:  # MMPose's estimator leaves them in pixels of the input
        deviations = deviations / _to_numpy(sample["input_size"]) * _to_numpy(sample["input_scale"])
    return mapping.apply(deviations) if mapping else deviations


def _to_numpy(values: Any) -> NDArray[Any]:
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)


def _unwrap(value: Any) -> Hashable:
    """Return an id, or a tuple of ids, as Python's own."""
    plain = value.tolist() if hasattr(value, "tolist") else value
    return tuple(plain) if isinstance(plain, list) else plain


def _find_categories(sample: Mapping[str, Any], num_people: int, category_ids: Sequence[int] | None) -> NDArray[Any]:
    category = sample.get("category_id")
    if category is not None and np.ndim(category) == 0:  # bottom-up samples may carry those of the ground truth
        return np.full(num_people, int(category))
    found = sample["pred_instances"]
    if "category_ids" in found:  # of a result file, which has no labels
        return _to_numpy(found["category_ids"]).astype(int)
    if "labels" not in found:
        return np.ones(num_people, int)
    labels = _to_numpy(found["labels"]).astype(int)
    return labels + 1 if category_ids is None else np.asarray(category_ids, int)[labels]


def _check(result: SampleResult, num_keypoints: int) -> None:
    num_people = len(result.keypoints)
    shapes = {
        "keypoints": (num_people, num_keypoints, 2),
        "keypoint_scores": (num_people, num_keypoints),
        "deviations": (num_people, num_keypoints, 2),
        "scores": (num_people,),
        "boxes_xywh": (num_people, 4),
        "category_ids": (num_people,),
    }
    for name, shape in shapes.items():
        values = getattr(result, name)
        if values is None:
            continue
        if values.shape != shape:
            raise DataError(
                f"The predicted {name} of image {result.image_id} have shape {values.shape}, not {shape}: "
                f"the data set has {num_keypoints} keypoints; does the model belong to it?"
            )
        if not np.isfinite(values).all():
            raise DataError(f"The predicted {name} of image {result.image_id} are not finite: the model has diverged.")


def rescore(mode: str, scores: NDArray[Any], keypoint_scores: NDArray[Any], threshold: float) -> NDArray[Any]:
    """Return the scores by which detections are ranked.

    Args:
        mode: ``bbox``: that of the box; ``keypoint``: the mean of the keypoints; ``bbox_keypoint``: the
            box times the mean of the keypoints above ``threshold``, 0 without such keypoints; ``bbox_rle``:
            the box plus the mean plus the highest of the keypoints.
        scores: (D,) of the boxes.
        keypoint_scores: (D, K).
        threshold: Lowest keypoint score that ``bbox_keypoint`` counts.

    Returns:
        (D,).
    """
    if mode == "bbox":
        ranked = scores
    elif mode == "keypoint":
        ranked = keypoint_scores.mean(1)
    elif mode == "bbox_rle":
        ranked = scores + keypoint_scores.mean(1) + keypoint_scores.max(1)
    else:
        ranked = scores * _average_above(keypoint_scores, threshold)
    return ranked


def _average_above(keypoint_scores: NDArray[Any], threshold: float) -> NDArray[Any]:
    """Return the mean of those of (D, K) scores above ``threshold``; 0 for a row that has none."""
    # What NumPy makes of `0 + score`, and compares with a threshold: double precision in its version 1,
    # the score's own in version 2, where a float32 of 0.2 is not above a threshold of 0.2.
    precision = (0 + keypoint_scores.dtype.type(0)).dtype
    is_counted = keypoint_scores.astype(precision) > threshold
    total = np.zeros(len(keypoint_scores), precision)
    for column, counted in zip(keypoint_scores.T, is_counted.T):
        total = total + np.where(counted, column, 0).astype(column.dtype)
    counts = is_counted.sum(1)
    means: NDArray[Any] = total / np.maximum(counts, 1).astype(total.dtype)
    return means


def apply_nms_mode(
    mode: str,
    keypoints: NDArray[Any],
    scores: NDArray[Any],
    areas: NDArray[Any],
    sigmas: NDArray[Any],
    threshold: float,
) -> NDArray[Any]:
    """Return the detections of one image that are kept.

    Args:
        mode: Kind of NMS. ``oks_nms`` drops detections whose OKS with a better one is above
            ``threshold``. ``soft_oks_nms`` drops none of the best 20, but chooses detections that are like a
            better one later; scores stay as they are. ``none`` keeps all.
        keypoints: Keypoints (N, K, 2).
        scores: Scores (N,).
        areas: Areas (N,) in square pixels.
        sigmas: Sigmas (K,) of the keypoints.
        threshold: Largest OKS, or for ``soft_oks_nms`` the width of the decay.

    Returns:
        Indices of those that are kept, best first.
    """
    if mode == "none" or not len(scores):
        return np.arange(len(scores))
    # Each pair is compared by its mean area.  In single precision, as in MMPose 1.3.
    similarities = keypoint_similarity(keypoints[None] - keypoints[:, None], (areas[:, None] + areas) / 2, sigmas)
    oks = (similarities.sum(-1) / keypoints.shape[1]).astype(np.float32)
    if mode == "soft_oks_nms":
        return _run_soft_nms(oks, scores, threshold)
    order = np.argsort(scores)[::-1]
    kept: NDArray[Any] = order[greedy_nms(oks[np.ix_(order, order)] > threshold)]
    return kept


def _run_soft_nms(oks: NDArray[Any], scores: NDArray[Any], threshold: float) -> NDArray[Any]:
    kept: list[int] = []
    order = np.argsort(scores)[::-1]
    scores = scores[order]
    while len(order) and len(kept) < MAX_DETECTIONS:
        best, order = order[0], order[1:]
        kept.append(best)
        scores = scores[1:] * np.exp(-(oks[best, order] ** 2) / threshold)
        again = np.argsort(scores)[::-1]
        order, scores = order[again], scores[again]
    return np.array(kept)


@dataclass(frozen=True)
class Predictions:
    """The predictions of all samples, ranked and after NMS, in the precision in which they came."""

    image_ids: list[Hashable]  # D
    category_ids: NDArray[Any]  # (D,)
    keypoints: NDArray[Any]  # (D, K, 2)
    keypoint_scores: NDArray[Any]  # (D, K)
    scores: NDArray[Any]  # (D,)
    boxes_xywh: NDArray[Any] | None  # (D, 4)
    deviations: NDArray[Any] | None = None  # (D, K, 2)


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
    results: Sequence[SampleResult], options: MetricOptions, num_keypoints: int, sigmas: NDArray[Any]
) -> Predictions:
    """Return the predictions of all samples with the scores that rank them, after NMS."""
    boxes = [result.boxes_xywh for result in results if result.boxes_xywh is not None]
    counts = [len(result.keypoints) for result in results]
    deviations = [result.deviations for result in results if result.deviations is not None]
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
        deviations=_join(deviations, (0, num_keypoints, 2))
        if deviations and sum(map(len, deviations)) == sum(counts)
        else None,
    )
    if options.nms_mode == "none":
        return all_found
    extents = all_found.keypoints.max(1) - all_found.keypoints.min(1)
    ends = np.cumsum(counts)
    areas = [
        extents[end - count : end].prod(1) if result.areas is None else result.areas
        for result, count, end in zip(results, counts, ends)
    ]
    return _apply_nms(all_found, _join(areas, (0,)), options, sigmas)


def _join(arrays: list[NDArray[Any]], empty: tuple[int, ...]) -> NDArray[Any]:
    # Empty arrays are left out: their type would decide the others'.
    return np.concatenate([each for each in arrays if len(each)] or [np.empty(empty)])


def _warn_of_scores(*all_scores: NDArray[Any]) -> None:
    lowest = min(float(scores.min()) for scores in all_scores if scores.size) if all_scores[0].size else 0
    highest = max(float(scores.max()) for scores in all_scores if scores.size) if all_scores[0].size else 1
    if lowest < 0 or highest > 1:
        print_log(
            f"Predicted scores go from {lowest:.3g} to {highest:.3g}, outside of 0 to 1: they are ranked as they are.",
            logger="current",
            level=logging.WARNING,
        )


def _apply_nms(found: Predictions, areas: NDArray[Any], options: MetricOptions, sigmas: NDArray[Any]) -> Predictions:
    rows: dict[Hashable, list[int]] = {}
    for row, image_id in enumerate(found.image_ids):
        rows.setdefault(image_id, []).append(row)
    kept: list[int] = []
    for of_image in rows.values():
        chosen = apply_nms_mode(
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
        deviations=None if found.deviations is None else found.deviations[kept],
    )


def find_detections(found: Predictions, truth: GroundTruth, where: str) -> DatasetDetections:
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
    return DatasetDetections(
        image=np.array([images[each] for each in found.image_ids], int)[counts],
        category=np.array([categories[each] for each in found.category_ids.tolist()], int)[counts],
        keypoints=keypoints[counts],
        keypoint_scores=found.keypoint_scores.astype(np.float64)[counts],
        scores=found.scores.astype(np.float64)[counts],
        areas=sizes.astype(np.float64).prod(1)[counts],
        deviations=None if found.deviations is None else found.deviations.astype(np.float64)[counts],
    )


def _refuse_unknown(what: str, unknown: set[Any], where: str) -> None:
    if unknown:
        first = min(unknown, key=str)  # ids may be numbers and text
        raise DataError(
            f"There are predictions of {what} {first}, which {where} does not list ({len(unknown)} such ids): "
            "do the metric's annotations belong to the evaluated data set?"
        )
