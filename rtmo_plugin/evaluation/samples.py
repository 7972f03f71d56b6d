"""Read the predictions of one sample, and check them.

Keypoints, boxes and scores that are not finite, and another number of keypoints than the data set
has, are errors: they show a broken model or a config that does not belong to it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from rtmo_plugin.errors import DataError
from rtmo_plugin.evaluation.keypoint_mapping import KeypointMapping
from rtmo_plugin.evaluation.records import SampleResult


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
            (N, 4), ``bbox_scores`` (N,), ``category_ids`` (N,) and ``labels`` (N,).  All are of category
            ``category_id`` where the sample has one; else of those in ``category_ids``; else of their label's
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
    result = SampleResult(
        image_id=image_id,
        sample_id=_unwrap(sample.get("id", ())),
        category_ids=_find_categories(sample, len(keypoints), category_ids),
        keypoints=keypoints,
        keypoint_scores=keypoint_scores,
        scores=_find_scores(found, given, len(keypoints)),
        boxes_xywh=None if boxes is None else np.concatenate([boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]], 1),
        areas=_find_areas(given, len(keypoints)),
    )
    _check(result, num_keypoints)
    return result


def _to_numpy(values: Any) -> np.ndarray:
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)


def _unwrap(value: Any) -> Hashable:
    """Return an id, or a tuple of ids, as Python's own."""
    plain = value.tolist() if hasattr(value, "tolist") else value
    return tuple(plain) if isinstance(plain, list) else plain


def _find_categories(sample: Mapping[str, Any], num_people: int, category_ids: Sequence[int] | None) -> np.ndarray:
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


def _find_scores(found: Mapping[str, Any], given: Mapping[str, Any], num_people: int) -> np.ndarray:
    """Return the model's scores, or those of the boxes that a top-down model was given, or 1."""
    if "bbox_scores" in found:
        return _to_numpy(found["bbox_scores"])
    if "bbox_scores" in given and len(given["bbox_scores"]) == num_people:
        return _to_numpy(given["bbox_scores"])
    return np.ones(num_people)


def _find_areas(given: Mapping[str, Any], num_people: int) -> np.ndarray | None:
    """Return the areas of the boxes that a top-down model was given, for suppression."""
    if "bbox_scales" in given and len(given["bbox_scales"]) == num_people:
        return _to_numpy(given["bbox_scales"]).prod(1)
    return None


def _check(result: SampleResult, num_keypoints: int) -> None:
    num_people = len(result.keypoints)
    shapes = {
        "keypoints": (num_people, num_keypoints, 2),
        "keypoint_scores": (num_people, num_keypoints),
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
