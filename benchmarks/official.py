"""MMPose's own RTMO, from the configs in its package: what this package is compared with."""

from __future__ import annotations

from pathlib import Path

import mmpose
from mmengine.config import Config

from rtmo_plugin.errors import MissingFileError

_FOLDER = ".mim/configs/body_2d_keypoint/rtmo"
_RECIPES = {
    "rtmo-s": "coco/rtmo-s_8xb32-600e_coco-640x640.py",
    "rtmo-t": "body7/rtmo-t_8xb32-600e_body7-416x416.py",
}


def load_official_recipe(size: str = "rtmo-s") -> Config:
    """Return MMPose's config of RTMO-s on COCO, or of RTMO-t on seven sets.

    Raises:
        MissingFileError: MMPose was installed without its configs.
    """
    path = Path(mmpose.__file__).parent / _FOLDER / _RECIPES[size]
    if not path.is_file():
        raise MissingFileError(f"MMPose's config {path} does not exist: install mmpose 1.3.2 from its wheel.")
    return Config.fromfile(str(path))
