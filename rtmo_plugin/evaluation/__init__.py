"""AP and AR of poses on COCO, CrowdPose, and data sets in their format."""

from rtmo_plugin.evaluation.coco_metric import CocoMetric
from rtmo_plugin.evaluation.crowdpose_metric import CrowdPoseMetric, is_crowdpose

__all__ = ["CocoMetric", "CrowdPoseMetric", "is_crowdpose"]
