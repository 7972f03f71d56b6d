"""The check that losses are finite: at once, or one batch late, so that nothing waits for the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rtmo_plugin.ops.host_copy import HostCopy
from rtmo_plugin.packed_batch import PackedBatch, name_image


class LossCheck:
    """Stops training at a loss that is NaN or infinite, as soon as it is computed; on CUDA this waits for the GPU."""

    def __call__(self, losses: Mapping[str, Tensor], data_samples: Any) -> None:
        """Check the losses of a batch.

        Args:
            losses: Scalars by name.
            data_samples: Packed batch, or MMPose's data samples.

        Raises:
            FloatingPointError: Names the losses and the images of the batch.
        """
        _raise_if_any(list(losses), _find_not_finite(losses).tolist(), _get_metainfos(data_samples))

    def finish(self) -> None:
        """Check what has not been read yet, for those who are about to keep the result of a step."""


class LateLossCheck(LossCheck):
    """Stops training at a loss that is NaN or infinite, when the next batch comes or at ``finish``.

    The flags of a batch are copied to the host while its backward pass runs, and read before the next batch is
    assigned: by then they are there.
    """

    def __init__(self) -> None:
        self._pending: tuple[list[str], HostCopy, Sequence[Mapping[str, Any]]] | None = None

    def __call__(self, losses: Mapping[str, Tensor], data_samples: Any) -> None:
        """Check the batch before, and keep the flags of this one.

        Raises:
            FloatingPointError: Names the losses and the images of the batch before.
        """
        self.finish()
        self._pending = list(losses), HostCopy(_find_not_finite(losses)), _get_metainfos(data_samples)

    def finish(self) -> None:
        """Check the last batch.

        Raises:
            FloatingPointError: Names the losses and the images of that batch.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            names, flags, metainfos = pending
            _raise_if_any(names, flags.read(), metainfos)


def _find_not_finite(losses: Mapping[str, Tensor]) -> Tensor:
    """Return a flag for each loss, in one tensor and so with one copy."""
    return torch.stack([loss.detach() for loss in losses.values()]).isfinite().logical_not()


def _get_metainfos(data_samples: Any) -> Sequence[Mapping[str, Any]]:
    """Return the metainfo of a batch without its tensors; names of images are read from it only for a message."""
    if isinstance(data_samples, PackedBatch):
        return data_samples.metainfos
    return [sample.metainfo for sample in data_samples]


def _raise_if_any(names: Sequence[str], flags: Sequence[bool], metainfos: Sequence[Mapping[str, Any]]) -> None:
    bad = [name for name, is_bad in zip(names, flags) if is_bad]
    if bad:
        images = [name_image(each) for each in metainfos]
        raise FloatingPointError(
            f"{', '.join(bad)} is not finite for the batch of {', '.join(images)}: lower the learning rate, or "
            "check these images' annotations."
        )
