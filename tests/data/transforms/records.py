"""A dataset in memory whose images are smooth, so that ways of interpolating agree, and two pipelines for it."""

from __future__ import annotations

import copy
from typing import Any

import cv2
import numpy as np
from mmengine.dataset import Compose

KEYS = ("bbox", "bbox_score", "category_id", "keypoints", "keypoints_visible", "area")
FLIP = [0, 2, 1, 4, 3]
# width and height: fitting, wide, high, small (enlarged), large (reduced)
SIZES_WH = ((256, 192), (256, 120), (180, 256), (100, 80), (600, 440))


class Keep:
    """A step that leaves the record as it is: these records have their images."""

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        return record


class Records:
    """Has what the transforms ask of a dataset."""

    def __init__(self, number: int = 8, weighted: bool = False, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.records = [make_record(random, SIZES_WH[i % len(SIZES_WH)], weighted) for i in range(number)]

    def __len__(self) -> int:
        return len(self.records)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return copy.deepcopy(self.records[index])

    def run(self, pipeline: Any, index: int, seed: int) -> dict[str, Any]:
        """Return a transformed sample, from random numbers of this seed."""
        np.random.seed(seed)  # noqa: NPY002  (what MMEngine seeds)
        return pipeline({**self.get_data_info(index), "dataset": self})


def make_record(random: np.random.Generator, size_wh: tuple[int, int], weighted: bool = False) -> dict[str, Any]:
    """Return an image with three people; ``weighted`` keypoints have two numbers of visibility."""
    coarse = random.uniform(0, 255, (4, 5, 3)).astype(np.float32)
    image = np.clip(cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    keypoints = (random.uniform(0, 1, (3, 5, 2)) * size_wh).astype(np.float32)
    visible = random.integers(0, 2, (3, 5)).astype(np.float32)
    visible[:, 0] = 1
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    return {
        "img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2], "img_path": None,
        "bbox": boxes, "bbox_score": np.ones(3, np.float32), "category_id": np.ones(3, int),
        "keypoints": keypoints, "keypoints_visible": np.stack([visible, visible], -1) if weighted else visible,
        "area": np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), "flip_indices": FLIP, "id": [1, 2, 3],
    }  # fmt: skip


def make_pipelines(size_wh: tuple[int, int], affine: dict[str, Any], ratio: tuple[float, float] | None) -> Any:
    """Return MMPose's pipeline and ours with the same options; without ``ratio`` there is no mixup."""
    mix = {"img_scale": size_wh, "pad_val": 114.0, "pre_transform": [Keep()]}
    affine = {"type": "BottomupRandomAffine", "input_size": size_wh, "pad_val": 114, **affine}
    only = {"distribution": "uniform", "transform_mode": "perspective", "bbox_keep_corner": False, "clip_border": True}
    mixup = [{"type": "YOLOXMixUp", **mix, "ratio_range": ratio}] if ratio else []
    steps = [{"type": "Mosaic", **mix}, affine, *mixup, {"type": "YOLOXHSVRandomAug"}, {"type": "RandomFlip"}]
    theirs = [{**step, **(only if step is affine else {})} for step in steps]
    ours = [{**step, "type": f"rtmo_plugin.{step['type']}"} for step in steps]
    return Compose(theirs), Compose(ours)
