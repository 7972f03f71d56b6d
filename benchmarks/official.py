"""Configs of MMPose's package: its own RTMO, which this package is compared with, and its top-down models."""

from __future__ import annotations

from pathlib import Path

import mmpose
from mmengine.config import Config

from rtmo_plugin.errors import MissingFileError

_RECIPES = {
    "rtmo-s": "configs/body_2d_keypoint/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640.py",
    "rtmo-m": "configs/body_2d_keypoint/rtmo/coco/rtmo-m_16xb16-600e_coco-640x640.py",
    "rtmo-l": "configs/body_2d_keypoint/rtmo/coco/rtmo-l_16xb16-600e_coco-640x640.py",
    "rtmo-t": "configs/body_2d_keypoint/rtmo/body7/rtmo-t_8xb32-600e_body7-416x416.py",
}


def load_official_recipe(size: str = "rtmo-s") -> Config:
    """Return MMPose's config of RTMO-s, RTMO-m or RTMO-l on COCO, or of RTMO-t on seven datasets.

    Raises:
        MissingFileError: MMPose was installed without its configs.
    """
    return load_mmpose_config(_RECIPES[size])


def load_mmpose_config(file: str) -> Config:
    """Return a config of MMPose's package.

    Args:
        file: Path below the folder of its configs and demos.

    Raises:
        MissingFileError: MMPose was installed without its configs.
    """
    path = Path(mmpose.__file__).parent / ".mim" / file
    if not path.is_file():
        raise MissingFileError(f"MMPose's config {path} does not exist: install mmpose 1.3.2 from its wheel.")
    return Config.fromfile(str(path))
