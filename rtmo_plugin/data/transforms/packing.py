"""Packing of a record into the input of the model."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from mmpose.datasets.transforms import PackPoseInputs as Base

from rtmo_plugin.registry import TRANSFORMS

_NO_IMAGE = np.empty((0, 0, 3), dtype=np.uint8)


@TRANSFORMS.register_module()
class PackPoseInputs(Base):
    """Pack a record for the model: MMPose's transform of this name with a faster copy (OpenCV's ``split``).

    Args:
        meta_keys: Keys of the record that become metainfo of its data sample, as in MMPose.
        pack_transformed: Whether transformed keypoints are packed too, as in MMPose.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return ``inputs``, a (3, H, W) uint8 tensor, and ``data_samples``.

        Args:
            results: Record whose ``img`` is (H, W, 3) uint8, or a list of F frames, which give ``inputs`` (F, 3, H, W).
        """
        image = results["img"]
        if not isinstance(image, np.ndarray) or image.ndim != 3:  # frames of a video
            packed: dict[str, Any] = super().transform(results)
            return packed
        planes = np.empty((3, *image.shape[:2]), dtype=np.uint8)
        cv2.split(image, list(planes))
        packed = super().transform({**results, "img": _NO_IMAGE})
        return {**packed, "inputs": torch.from_numpy(planes)}
