"""Collation of a training batch in the data loader's worker: one image tensor and few target tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from rtmo_plugin.data.batch_slots import SentBatch, take_slot
from rtmo_plugin.packed_batch import PackedBatch, name_image, pack_samples, put_together
from rtmo_plugin.registry import FUNCTIONS


@FUNCTIONS.register_module()  # type: ignore[untyped-decorator]  # MMEngine has no types
def pack_batch(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any] | SentBatch:
    """Collate the samples of a batch, as ``collate_fn=dict(type="rtmo_plugin.pack_batch")`` of a data loader.

    The images become one tensor and the targets are padded, so that the main process has nothing to do for each image.
    A worker writes the batch into memory that it uses again (``rtmo_plugin.data.batch_slots``).
    ``PackedDataPreprocessor`` and ``RTMOHead`` take such batches; to others they look like lists
    of data samples.

    Args:
        samples: Samples with ``inputs``, a (3, H, W) uint8 tensor, and ``data_samples``, MMPose's data sample.

    Returns:
        ``inputs``, a (B, 3, H, W) uint8 tensor, and ``data_samples``, a ``PackedBatch``; in a worker what the main
        process receives as such.

    Raises:
        ValueError: Images differ in size, or people in their number of keypoints, with the names of the images.
    """
    images, labels = [each["inputs"] for each in samples], [each["data_samples"] for each in samples]
    names = {tuple(image.shape): name_image(label.metainfo) for image, label in zip(images, labels)}
    if len(names) > 1:
        (first, path), (second, other), *_ = names.items()
        raise ValueError(
            f"{path} has the shape {first} after the transforms, and {other} {second}: a packed batch needs images of "
            "one size; let the pipeline resize them, or leave collate_fn out of the data loader."
        )
    packed = pack_samples(labels)
    tensors, rest = packed.take_apart()
    layout = [
        (images[0].dtype, torch.Size((len(images), *images[0].shape))),
        *((tensor.dtype, tensor.shape) for tensor in tensors),
    ]
    slot = take_slot(layout)
    if slot is None:
        return {"inputs": default_collate(images), "data_samples": packed}
    views = slot.view(layout)
    torch.stack(images, out=views[0])
    for view, tensor in zip(views[1:], tensors):
        view.copy_(tensor)
    return SentBatch(slot, layout, _unpack, *rest)


def _unpack(tensors: Sequence[Tensor], names: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    images, *targets = tensors
    batch: PackedBatch = put_together(targets, names, values)
    return {"inputs": images, "data_samples": batch}
