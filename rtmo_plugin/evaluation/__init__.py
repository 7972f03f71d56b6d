"""AP and AR of poses on COCO, CrowdPose, and data sets in their format."""

from rtmo_plugin.evaluation.coco_metric import CocoMetric, CrowdPoseMetric
from rtmo_plugin.evaluation.ground_truth import is_crowdpose

__all__ = ["CocoMetric", "CrowdPoseMetric", "is_crowdpose"]
