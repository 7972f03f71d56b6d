"""Data: COCO files with any keypoints (``coco_keypoints``), and people that are drawn (``synthetic``)."""

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
