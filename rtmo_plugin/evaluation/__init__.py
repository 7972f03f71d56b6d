"""AP and AR of poses on COCO, CrowdPose, and data sets in their format."""

from rtmo_plugin.evaluation.coco_metric import CocoMetric
from rtmo_plugin.evaluation.crowdpose_metric import CrowdPoseMetric

__all__ = ["CocoMetric", "CrowdPoseMetric"]
