"""What happens to a batch between data loader and network: to the device, to float, padding, multi-scale training."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmpose.models import PoseDataPreprocessor
from torch import Tensor

from rtmo_plugin.packed_batch import PackedBatch
from rtmo_plugin.registry import MODELS


@MODELS.register_module()
class PackedDataPreprocessor(PoseDataPreprocessor):
    """MMPose's preprocessor, and a fast way for the packed batches of ``rtmo_plugin.pack_batch``.

    A packed batch is copied to the device tensor by tensor without a wait, and handled there as a whole; the numbers
    are those of the other way.  Options are MMPose's.

    Attributes:
        copies_aside: Whether packed batches are copied to a GPU in a stream of their own, beside the work of the step
            before. They are kept until then.
    """

    def __init__(self, mean: Sequence[float] | None = None, std: Sequence[float] | None = None, **options: Any) -> None:
        super().__init__(mean=mean, std=std, **options)
        # A mean of 0 and a deviation of 1, as in all recipes, leave the values as they are.
        self.copies_aside = False
        self._stream: Any = None
        self._copied: deque[tuple[Any, Tensor, PackedBatch]] = deque()  # with the event at the end of the copy
        self._normalizes = any(mean or ()) or any(value != 1 for value in std or ())

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_stream": None, "_copied": deque()}  # a stream cannot be copied, nor cross processes

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Prepare a batch for the network.

        Args:
            data: ``inputs`` and ``data_samples`` of a data loader; packed ones are a (B, 3, H, W) uint8 tensor and a
                ``PackedBatch``.
            training: Whether batches are resized to random sizes.

        Returns:
            ``inputs``, (B, 3, H, W) float32 on the device, and ``data_samples``.
        """
        batch = data["data_samples"]
        if not isinstance(batch, PackedBatch):
            prepared: dict[str, Any] = super().forward(data, training)
            return prepared
        images, batch = self._move(data["inputs"], batch)
        inputs = self._prepare(images)
        for augment in (self.batch_augments or ()) if training else ():
            inputs, batch = augment(inputs, batch)
        return {"inputs": inputs, "data_samples": batch}

    def _move(self, images: Tensor, batch: PackedBatch) -> tuple[Tensor, PackedBatch]:
        """Return images and targets on the device."""
        if not self.copies_aside or torch.device(self.device).type != "cuda":
            return images.to(self.device, non_blocking=True), batch.to(self.device)
        self._stream = self._stream or torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        step = torch.cuda.current_stream(self.device)
        sources = images, batch
        with torch.cuda.stream(self._stream):
            images, batch = images.to(self.device, non_blocking=True), batch.to(self.device)
        while self._copied and self._copied[0][0].query():
            self._copied.popleft()
        self._copied.append((self._stream.record_event(), *sources))
        step.wait_stream(self._stream)
        images.record_stream(step)
        batch.record_stream(step)
        return images, batch

    def _prepare(self, images: Tensor) -> Tensor:
        """Return (B, 3, H, W) images as numbers, in the model's order of colors, normalized and padded."""
        if self._channel_conversion:
            images = images[:, [2, 1, 0]]
        images = images.float()
        if self._normalizes:
            images = (images - self.mean) / self.std
        height, width = images.shape[-2:]
        padding = (0, -width % self.pad_size_divisor, 0, -height % self.pad_size_divisor)
        return F.pad(images, padding, value=self.pad_value) if any(padding) else images
