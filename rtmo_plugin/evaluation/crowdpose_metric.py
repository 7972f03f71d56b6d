"""CrowdPose's keypoint metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtmo_plugin.evaluation.coco_metric import CocoMetric
from rtmo_plugin.evaluation.metric_options import CROWD
from rtmo_plugin.registry import METRICS


def is_crowdpose(content: Mapping[str, Any]) -> bool:
    """Return whether the content of an annotation file is CrowdPose's: it has images, each with a ``crowdIndex``.

    Examples:
        >>> is_crowdpose({"images": [{"id": 1, "crowdIndex": 0.1}]}), is_crowdpose({"images": []})
        (True, False)
    """
    return bool(content["images"]) and all("crowdIndex" in image for image in content["images"])


@METRICS.register_module()
class CrowdPoseMetric(CocoMetric):
    """AP and AR of keypoints on CrowdPose, with the AP of easy, medium and hard images.

    The same as ``CocoMetric(iou_type='keypoints_crowd', use_area=False, prefix='crowdpose')``: areas are
    0.53 x width x height of the box, and people whose ``num_keypoints`` (the visible ones) is 0 are
    ignored.

    Easy is a ``crowdIndex`` below 0.2, hard one of 0.8 and above.  The paper says 0.1 and 0.8; but the
    official evaluation program, and xtcocotools with MMPose 1.3 after it, split at 0.2 and 0.8, and so
    do all published numbers that come from them.  ``crowd_index_splits=(0.1, 0.8)`` gives the paper's.

    Args:
        ann_file: See ``CocoMetric``.
        **options: See ``CocoMetric`` and ``MetricOptions``.

    Raises:
        DataError: Besides ``CocoMetric``'s reasons, ``crowdIndex`` or ``num_keypoints`` is missing.
    """

    default_prefix = "crowdpose"

    def __init__(self, ann_file: str | None = None, **options: Any) -> None:
        super().__init__(ann_file, **{"iou_type": CROWD, "use_area": False, **options})
