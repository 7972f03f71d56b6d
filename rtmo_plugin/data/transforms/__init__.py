"""The transforms of RTMO's training, as fast as one core can run them.

Options have the names that they have in MMPose, and the same random numbers give the same sample, so
that a pipeline of MMPose becomes a fast one by the prefix ``rtmo_plugin.``:

``loading`` and ``image_cache`` (files, decoded once) > ``mosaic`` (places four images on a canvas
that is never drawn) > ``collage`` and ``affine`` (draw what is in view in one warp) > ``mixup`` >
``colour`` > ``flip`` > ``packing``.  ``people`` moves the ground truth with the pixels.
"""

from rtmo_plugin.data.transforms.affine import BottomupRandomAffine
from rtmo_plugin.data.transforms.color import YOLOXHSVRandomAug
from rtmo_plugin.data.transforms.flip import RandomFlip
from rtmo_plugin.data.transforms.loading import LoadImage
from rtmo_plugin.data.transforms.memory import keep_freed_memory
from rtmo_plugin.data.transforms.mixup import YOLOXMixUp
from rtmo_plugin.data.transforms.mosaic import Mosaic
from rtmo_plugin.data.transforms.packing import PackPoseInputs

keep_freed_memory()  # in workers too: they inherit it, or import this

__all__ = [
    "BottomupRandomAffine",
    "LoadImage",
    "Mosaic",
    "PackPoseInputs",
    "RandomFlip",
    "YOLOXHSVRandomAug",
    "YOLOXMixUp",
]
