"""Necks: what fuses the backbone's feature maps."""

from rtmo_plugin.models.necks.hybrid_encoder import HybridEncoder
from rtmo_plugin.models.necks.yolox_pose_pafpn import YOLOXPosePAFPN

__all__ = ["HybridEncoder", "YOLOXPosePAFPN"]
