"""Data: COCO files with any keypoints (``coco_keypoints``), and synthetic people, which need no download.

Synthetic people from numbers to pixels: ``poses`` (body, ranges of joint angles) > ``figure`` (bodies in 3-D) >
``scene`` (people placed in a frame) > ``parts`` and ``rendering`` (label map, image) >
``annotation`` (COCO ground truth) > ``synthetic_people`` (the dataset) and ``synthetic_images`` (its
images as a transform and as files).
"""

from rtmo_plugin.data.coco_keypoints import CocoKeypoints
from rtmo_plugin.data.synthetic.coco_folder import write_coco_folder
from rtmo_plugin.data.synthetic.robots import write_robots
from rtmo_plugin.data.synthetic.settings import SceneSettings
from rtmo_plugin.data.synthetic.synthetic_images import DrawSyntheticImage, SyntheticImageBackend, draw_image_at
from rtmo_plugin.data.synthetic.synthetic_people import SyntheticPeople

__all__ = [
    "CocoKeypoints",
    "DrawSyntheticImage",
    "SceneSettings",
    "SyntheticImageBackend",
    "SyntheticPeople",
    "draw_image_at",
    "write_coco_folder",
    "write_robots",
]
