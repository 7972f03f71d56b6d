"""``Pose``: people in images, folders, videos and cameras, from exported files and checkpoints alike."""

from rtmo_plugin.pose.pose import Pose, PoseResult

__all__ = ["Pose", "PoseResult"]
