"""MMPose's own RTMO-s, from the config in its package: what this package is compared with."""

from __future__ import annotations

from pathlib import Path

import mmpose
from mmengine.config import Config

from rtmo_plugin.errors import MissingFileError

_RECIPE = ".mim/configs/body_2d_keypoint/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640.py"


def load_official_recipe() -> Config:
    """Return MMPose's config of RTMO-s on COCO.

    Raises:
        MissingFileError: MMPose was installed without its configs.
    """
    path = Path(mmpose.__file__).parent / _RECIPE
    if not path.is_file():
        raise MissingFileError(f"MMPose's config {path} does not exist: install mmpose 1.3.2 from its wheel.")
    return Config.fromfile(str(path))
