"""Multi-scale training: a size for each step, from the seed and the number of the step alone."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from mmengine.dist import broadcast
from mmengine.logging import MessageHub
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor, nn
from torch.nn import functional

from rtmo_plugin.packed_batch import PackedBatch
from rtmo_plugin.registry import MODELS


@MODELS.register_module()
class BatchRandomResize(nn.Module):
    """Resize training batches to random sizes, the same on every rank.

    Sizes and resized batches are distributed as with MMPose 1.3's ``BatchSyncRandomResize``, which
    draws each size while it handles the step before and forgets it when training is interrupted.
    Here the size is a function of the seed and the step, so a resumed run sees the sizes of an
    unbroken one, and ranks need not tell each other.

    Args:
        random_size_range: Smallest and largest height in pixels.
        interval: Steps between two sizes; the first ones keep the size of the data.
        size_divisor: Sizes are multiples of it.
    """

    def __init__(self, random_size_range: tuple[int, int], interval: int = 10, size_divisor: int = 32) -> None:
        super().__init__()
        smallest, largest = random_size_range
        self._range = (round(smallest / size_divisor), round(largest / size_divisor))
        self._interval = interval
        self._divisor = size_divisor
        self._seed: int | None = None

    def forward(
        self, inputs: Tensor, data_samples: Sequence[BaseDataElement] | PackedBatch
    ) -> tuple[Tensor, list[BaseDataElement] | PackedBatch]:
        """Resize images and their targets to the size of this step.

        Args:
            inputs: (B, 3, H, W).
            data_samples: A packed batch, or B samples, whose values in pixels of ``inputs`` are replaced.
        """
        height, width = inputs.shape[-2:]
        step = MessageHub.get_current_instance().get_info("iter")
        shape_hw = self.choose_shape((height, width), step)
        if shape_hw != (height, width):
            inputs = functional.interpolate(inputs, size=shape_hw, mode="bilinear", align_corners=False)
            scale_xy = (shape_hw[1] / width, shape_hw[0] / height)
            if isinstance(data_samples, PackedBatch):
                return inputs, data_samples.resize(scale_xy, shape_hw)
            for sample in data_samples:
                _resize_sample(sample, scale_xy, shape_hw)
        return inputs, data_samples if isinstance(data_samples, PackedBatch) else list(data_samples)

    def choose_shape(self, shape_hw: tuple[int, int], step: int) -> tuple[int, int]:
        """Return the height and width of a step, for data of ``shape_hw``."""
        number = step // self._interval
        if number == 0:
            return shape_hw
        if self._seed is None:  # of rank 0: with ``diff_rank_seed`` others have their own
            seed = torch.tensor(MessageHub.get_current_instance().get_info("seed", 0))
            broadcast(seed)
            self._seed = int(seed)
        size = random.Random(f"{self._seed} {number}").randint(*self._range)
        return size * self._divisor, int(size * shape_hw[1] / shape_hw[0]) * self._divisor


def _resize_sample(sample: BaseDataElement, scale_xy: tuple[float, float], shape_hw: tuple[int, int]) -> None:
    """Scale what a sample says in pixels; tensors are replaced, for the data set may keep the old ones."""
    scaled = {
        name: (int(sample.get(name)[0] * scale_xy[1]), int(sample.get(name)[1] * scale_xy[0]))
        for name in ("img_shape", "pad_shape")
    }
    sample.set_metainfo({**scaled, "batch_input_shape": shape_hw})
    if "gt_instance_labels" not in sample:
        return
    labels = sample.gt_instance_labels
    for name, scale in (("bboxes", (*scale_xy, *scale_xy)), ("keypoints", scale_xy)):
        if name in labels:
            labels.set_field(labels.get(name) * labels.get(name).new_tensor(scale), name)
    if "areas" in labels:
        labels.areas = labels.areas * (scale_xy[0] * scale_xy[1])
    if "heatmap_mask" in sample.get("gt_fields", ()):
        mask = sample.gt_fields.heatmap_mask[None].float()
        resized = functional.interpolate(mask, size=shape_hw, mode="bilinear", align_corners=False)[0]
        sample.gt_fields = PixelData(heatmap_mask=resized)
