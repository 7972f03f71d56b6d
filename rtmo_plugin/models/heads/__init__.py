"""The head of RTMO and its parts."""

from rtmo_plugin.models.heads.dcc import DynamicCoordinateClassifier
from rtmo_plugin.models.heads.rtmo_head import RTMOHead
from rtmo_plugin.models.heads.rtmo_head_module import RTMOHeadModule

__all__ = ["DynamicCoordinateClassifier", "RTMOHead", "RTMOHeadModule"]
