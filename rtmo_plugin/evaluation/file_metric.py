"""The metric of an annotation file without a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtmo_plugin.evaluation.coco_metric import CocoMetric, CrowdPoseMetric
from rtmo_plugin.evaluation.ground_truth import is_crowdpose
from rtmo_plugin.evaluation.whole_body_metric import CocoWholeBodyMetric
from rtmo_plugin.keypoints.metainfo import make_dataset_meta
from rtmo_plugin.keypoints.whole_body import NUM_WHOLE_BODY
from rtmo_plugin.structures import KeypointSchema


def build_file_metric(
    annotations: str | Path,
    content: Mapping[str, Any],
    keypoint_set: KeypointSchema,
    category_ids: Sequence[int] | None = None,
) -> CocoMetric:
    """Return the metric for predictions on an annotation file without a config, which ranks them by their own scores.

    Args:
        annotations: Annotation file.
        content: Content of the file; CrowdPose's if its images have a ``crowdIndex``, else COCO-WholeBody's if the
            predictions have 133 keypoints.
        keypoint_set: Keypoint set of the predictions.
        category_ids: Category id of each class. Default: label + 1.
    """
    build: type[CocoMetric] = CocoWholeBodyMetric if keypoint_set.num_keypoints == NUM_WHOLE_BODY else CocoMetric
    build = CrowdPoseMetric if is_crowdpose(content) else build
    metric = build(str(annotations), score_mode="bbox", nms_mode="none")
    metric.dataset_meta = make_dataset_meta(Path(annotations).stem, keypoint_set)
    if category_ids is not None:
        metric.dataset_meta["category_ids"] = category_ids
    return metric
