"""AP and AR of poses on COCO, CrowdPose, COCO-WholeBody, and data sets in their format."""

from rtmo_plugin.evaluation.coco_metric import CocoMetric, CrowdPoseMetric
from rtmo_plugin.evaluation.ground_truth import is_crowdpose
from rtmo_plugin.evaluation.whole_body_metric import CocoWholeBodyMetric

__all__ = ["CocoMetric", "CocoWholeBodyMetric", "CrowdPoseMetric", "is_crowdpose"]
