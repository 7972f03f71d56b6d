"""The transforms of RTMO's training, written for speed on one core.

Options have the same names as in MMPose, and the same random numbers give the same sample, so the prefix
``rtmo_plugin.`` turns a pipeline of MMPose into a fast one:

``loading`` and ``image_cache`` (files, decoded once) > ``mosaic`` (places four images on a canvas
that is never drawn) > ``collage`` and ``affine`` (draw the visible part in one warp) > ``copy_paste`` and ``occlusion``
(optional) > ``mixup`` > ``color`` > ``flip`` > ``packing``.  ``person_labels`` and ``covering`` transform the ground
truth like the pixels.
"""

from rtmo_plugin.data.transforms.affine import BottomupRandomAffine
from rtmo_plugin.data.transforms.color import YOLOXHSVRandomAug
from rtmo_plugin.data.transforms.copy_paste import CopyPaste
from rtmo_plugin.data.transforms.flip import RandomFlip
from rtmo_plugin.data.transforms.loading import LoadImage
from rtmo_plugin.data.transforms.mixup import YOLOXMixUp
from rtmo_plugin.data.transforms.mosaic import Mosaic
from rtmo_plugin.data.transforms.occlusion import OccludePeople
from rtmo_plugin.data.transforms.packing import PackPoseInputs

__all__ = [
    "BottomupRandomAffine",
    "CopyPaste",
    "LoadImage",
    "Mosaic",
    "OccludePeople",
    "PackPoseInputs",
    "RandomFlip",
    "YOLOXHSVRandomAug",
    "YOLOXMixUp",
]
