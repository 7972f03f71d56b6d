"""Mosaic: four images around a random point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from rtmo_plugin.data.transforms.collage import Collage, Tile, make_resize_matrix
from rtmo_plugin.data.transforms.global_rng import draw_uniform
from rtmo_plugin.data.transforms.mix_sampler import MixSampler
from rtmo_plugin.data.transforms.person_labels import PersonLabels, clip_people, join_people, warp_people
from rtmo_plugin.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Mosaic(BaseTransform):
    """Place an image and three others around a point of a canvas of twice the size.

    Equal to MMPose's transform of this name, with the same random numbers, but the canvas is not drawn:
    ``img`` becomes a ``Collage``, which only ``rtmo_plugin.BottomupRandomAffine`` can draw.

    Args:
        img_scale: Width and height into which each image is resized; the canvas is twice as wide and high.
        center_range: Smallest and largest position of the point, relative to ``img_scale``.
        pad_val: Gray value of the canvas.
        pre_transform: Configs of the transforms that load the other images. Default: ``rtmo_plugin.LoadImage``.
        prob: Probability of a mosaic.

    Raises:
        ConfigError: ``prob`` is not a probability.
    """

    num_aux_image = 3

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        center_range: tuple[float, float] = (0.5, 1.5),
        pad_val: float = 114.0,
        pre_transform: Sequence[Mapping[str, Any]] | None = None,
        prob: float = 1.0,
    ) -> None:
        self.img_scale, self.center_range, self.pad_val = tuple(img_scale), tuple(center_range), pad_val
        self.mix_sampler = MixSampler(pre_transform, prob, self.num_aux_image)
        self.pre_transform, self.prob = self.mix_sampler.load, prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with the people of four images and a ``Collage`` as ``img``, or unchanged (see ``prob``).

        Args:
            results: Record with ``img`` and ``dataset``.
        """
        if not self.mix_sampler.should_mix():
            return results
        return self.apply_mix({**results, "mixed_data_list": self.mix_sampler.draw(results["dataset"])})

    def apply_mix(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with the people of four images and a ``Collage`` as ``img``.

        Args:
            results: Record with ``img``, and with three other records in ``mixed_data_list``.
        """
        results = dict(results)
        others = map(self.mix_sampler.read_shape, results.pop("mixed_data_list"))
        records = [
            record if "img_shape" in record else {**record, "img_shape": record["img"].shape[:2]}
            for record in (results, *others)
        ]
        width, height = self.img_scale
        center_xy = [int(draw_uniform(*self.center_range) * size) for size in (width, height)]
        placed = [self._place(position, record, center_xy) for position, record in enumerate(records)]
        people = clip_people(join_people([people for _, people in placed]), (2 * width, 2 * height))
        collage = Collage(tuple(tile for tile, _ in placed), self.pad_val)
        return {**results, **people, "img": collage, "img_shape": (2 * height, 2 * width, 3)}

    def _place(self, position: int, record: Mapping[str, Any], center_xy: Sequence[int]) -> tuple[Tile, PersonLabels]:
        """Return the tile at a position (0 to 3, row by row) and its people in pixels of the canvas."""
        is_right, is_below = position % 2 == 1, position >= 2
        height, width = record["img_shape"][:2]
        ratio = min(self.img_scale[0] / width, self.img_scale[1] / height)
        size_wh = (int(width * ratio), int(height * ratio))
        scale_xy = (size_wh[0] / width, size_wh[1] / height)
        starts = [
            center if is_after else center - size
            for center, is_after, size in zip(center_xy, (is_right, is_below), size_wh)
        ]
        crops = []  # first pixel, and end, of the part of the image that lies on the canvas
        for start, room, size, scale in zip(starts, self.img_scale, (width, height), scale_xy):
            first, end = round(max(-start, 0) / scale), round((2 * room - start) / scale)
            crops.append((first, max(min(end, size), first)))
        tile = Tile(
            record=record,
            matrix=make_resize_matrix(scale_xy, (starts[0], starts[1])),
            crop=(crops[0][0], crops[1][0], crops[0][1], crops[1][1]),
            is_joint=(is_right, is_below, not is_right, not is_below),
            load=self.mix_sampler.load,
        )
        # as MMPose 1.3: the exact ratio, and no half pixels
        return tile, warp_people(record, np.array([[ratio, 0, starts[0]], [0, ratio, starts[1]]]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(img_scale={self.img_scale}, center_range={self.center_range})"
