"""Mixup: the average of two images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from rtmo_plugin.data.transforms.collage import Image, find_fit
from rtmo_plugin.data.transforms.global_rng import draw_integer, draw_uniform
from rtmo_plugin.data.transforms.mix_sampler import MixSampler
from rtmo_plugin.data.transforms.person_labels import clip_people, flip_people, join_people, warp_people
from rtmo_plugin.registry import TRANSFORMS

_FLOOR = -0.25  # addWeighted rounds and MMPose truncates: with this offset n + 1/2 becomes n, and n stays n

View = tuple[int, int, int, int]  # x, y, width, height in the frame


@TRANSFORMS.register_module()
class YOLOXMixUp(BaseTransform):
    """Average a sample with another image of the dataset, which is resized, cropped and sometimes mirrored.

    Equal to MMPose's transform of this name, with the same random numbers, resizing once.  An image without
    people is not mixed in.

    Args:
        img_scale: Width and height into which the other image is resized first.
        ratio_range: Smallest and largest factor by which the other image is then resized.
        flip_ratio: Probability that the other image is *not* mirrored.
        pad_val: Gray value around the other image.
        bbox_clip_border: Without effect, as in MMPose: boxes are always clipped.
        pre_transform: Configs of the transforms that load the other image. Default: ``rtmo_plugin.LoadImage``.
        prob: Probability of mixing.

    Raises:
        ConfigError: ``prob`` is not a probability.
    """

    num_aux_image = 1

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        ratio_range: tuple[float, float] = (0.5, 1.5),
        flip_ratio: float = 0.5,
        pad_val: float = 114.0,
        bbox_clip_border: bool = True,
        pre_transform: Sequence[Mapping[str, Any]] | None = None,
        prob: float = 1.0,
    ) -> None:
        self.img_scale, self.ratio_range = tuple(img_scale), tuple(ratio_range)
        self.flip_ratio, self.pad_val, self.bbox_clip_border = flip_ratio, pad_val, bbox_clip_border
        self.mix_sampler = MixSampler(pre_transform, prob, self.num_aux_image)
        self.pre_transform, self.prob = self.mix_sampler.load, prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with the averaged image and the people of both, or unchanged (see ``prob``).

        Args:
            results: Record with ``dataset``, and ``img`` of (H, W, 3) uint8.
        """
        if not self.mix_sampler.should_mix():
            return results
        return self.apply_mix({**results, "mixed_data_list": self.mix_sampler.draw(results["dataset"])})

    def apply_mix(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with the averaged image and the people of both.

        Args:
            results: Record with ``img`` of (H, W, 3) uint8, and with one other record in ``mixed_data_list``.
        """
        results = dict(results)
        (other,) = results.pop("mixed_data_list")
        if len(other["keypoints"]) == 0:
            return results
        other = other if "img" in other else self.mix_sampler.load(other)
        size_wh = results["img"].shape[1::-1]
        factor = draw_uniform(*self.ratio_range)
        is_flipped = draw_uniform(0, 1) > self.flip_ratio
        frame_wh = [int(size * factor) for size in self.img_scale]
        spare = [max(0, frame - size) for frame, size in zip(frame_wh, size_wh)]
        corner_y, corner_x = draw_integer(spare[1] + 1), draw_integer(spare[0] + 1)
        view = (corner_x, corner_y, *size_wh)
        image = self._draw(other["img"], frame_wh, is_flipped, view)
        ratio = find_fit(other["img"], self.img_scale) * factor
        moved = clip_people(warp_people(other, np.diag([ratio, ratio, 1.0])), frame_wh)  # first, as in MMPose 1.3
        if is_flipped:
            moved = flip_people(moved, frame_wh, other["flip_indices"])
        moved = warp_people(moved, np.array([[1, 0, -corner_x], [0, 1.0, -corner_y]]))
        people = join_people([results, moved])
        mixed = cv2.addWeighted(results["img"], 0.5, image, 0.5, _FLOOR)
        return {**results, **clip_people(people, size_wh), "img": mixed, "img_shape": mixed.shape}

    def _draw(self, image: Image, frame_wh: Sequence[int], is_flipped: bool, view: View) -> Image:
        """Return the view of a frame with the image in its upper left corner, or right if mirrored."""
        fit = find_fit(image, self.img_scale)
        scale_x, scale_y = (  # in two steps, as MMPose resizes, with its two roundings
            int(size * fit) / size * frame / whole
            for size, frame, whole in zip(image.shape[1::-1], frame_wh, self.img_scale)
        )
        resized = cv2.resize(image, None, fx=scale_x, fy=scale_y, interpolation=cv2.INTER_LINEAR)
        if is_flipped:
            resized = cv2.flip(resized, 1)
        left = frame_wh[0] - resized.shape[1] if is_flipped else 0
        x, y, width, height = left - view[0], -view[1], *view[2:]
        part = resized[max(-y, 0) : height - y, max(-x, 0) : width - x]
        left, top = max(x, 0), max(y, 0)
        canvas = np.full((height, width, 3), self.pad_val, dtype=np.uint8)
        canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
        return canvas

    def __repr__(self) -> str:
        return f"{type(self).__name__}(img_scale={self.img_scale}, ratio_range={self.ratio_range})"
