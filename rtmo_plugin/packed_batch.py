"""A training batch in few tensors: what is in the images of a batch, padded to the image with the most people.

A data loader's worker packs its samples once, so that a batch crosses processes and reaches the device as some ten
tensors, however many images it has, and nothing is done image by image after that.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from rtmo_plugin.structures import People

# Names in MMPose's ``gt_instance_labels`` of the fields of ``People``.
_FIELDS = {
    "labels": "labels",
    "boxes": "bboxes",
    "keypoints": "keypoints",
    "visible": "keypoints_visible",
    "visible_weights": "keypoints_visible_weights",
    "areas": "areas",
}
# Metainfo of an image in pixels of the network's input, as height and width.
_SHAPES = ("img_shape", "pad_shape")
_ALIGNMENT = 16  # bytes, of each tensor in a joined one
Layout = Sequence[tuple[torch.dtype, torch.Size]]  # type and shape of each tensor in a joined one


def name_image(metainfo: Mapping[str, Any]) -> str:
    """Return the path of an image for messages.

    Args:
        metainfo: Metainfo of the image's data sample.
    """
    return str(metainfo.get("img_path", "an image"))


class Metainfos(Sequence[Mapping[str, Any]]):
    """Metainfo of the images of a batch; a process that receives it unpickles it when it is read.

    A worker sends some kilobytes for each image, the person records of the label file among them, and hardly a step
    of training reads them.

    Attributes:
        keys: Keys of all entries, which are known without reading.
    """

    def __init__(self, entries: Iterable[Mapping[str, Any]]) -> None:
        self._entries: tuple[Mapping[str, Any], ...] | bytes = tuple(entries)
        self._length = len(self._entries)
        self.keys = frozenset(key for entry in self._entries for key in entry)

    def __reduce__(self) -> tuple[Any, ...]:
        pickled = self._entries if isinstance(self._entries, bytes) else pickle.dumps(self._entries)
        return _receive_metainfos, (pickled, self._length, self.keys)

    def _read(self) -> tuple[Mapping[str, Any], ...]:
        if isinstance(self._entries, bytes):
            self._entries = tuple(pickle.loads(self._entries))
        return self._entries

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        return self._read()[index]


def _receive_metainfos(pickled: bytes, length: int, keys: frozenset[str]) -> Metainfos:
    metainfos = Metainfos(())
    metainfos._entries, metainfos._length, metainfos.keys = pickled, length, keys
    return metainfos


@dataclass(frozen=True)
class PackedBatch:
    """The ground truth of B images.

    It can be iterated and indexed like a list of MMPose's data samples, which are made on demand.

    Attributes:
        people: Padded people.
        masks: (B, 1, H, W) 1 where people are not labeled, 0 elsewhere; None where no image has such regions.
        metainfos: Metainfo of each image.
        counts: Number of people in each image.
        labels_range: Smallest and largest class label, (0, 0) without people.
        kind: Class of the data samples, MMPose's ``PoseDataSample``.
        shape_hw: Height and width of the images after a resize; None before.
        scale_xy: Factors of that resize.
    """

    people: People
    masks: Tensor | None
    metainfos: Metainfos
    counts: tuple[int, ...]
    labels_range: tuple[int, int]
    kind: type
    shape_hw: tuple[int, int] | None = None
    scale_xy: tuple[float, float] = (1.0, 1.0)

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross processes as one tensor: each shared tensor costs the receiver a connection to the sender."""
        tensors, rest = self.take_apart()
        return _restore, (*join_tensors(tensors), *rest)

    def take_apart(self) -> tuple[list[Tensor], tuple[list[str], dict[str, Any]]]:
        """Return the tensors, and what ``put_together`` needs beside them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        people = {field.name: getattr(self.people, field.name) for field in fields(People)}
        tensors = {**people, **({} if self.masks is None else {"masks": self.masks})}
        return list(tensors.values()), (list(tensors), {**values, "people": None, "masks": None})

    def __len__(self) -> int:
        return len(self.metainfos)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Any:
        index = range(len(self))[index]  # which raises IndexError past the end, so that a loop stops
        sample = self.kind(metainfo=self._describe(index))
        values = {theirs: getattr(self.people, ours)[index, : self.counts[index]] for ours, theirs in _FIELDS.items()}
        sample.gt_instance_labels = InstanceData(**values)
        if self.masks is not None:
            sample.gt_fields = PixelData(heatmap_mask=self.masks[index])
        return sample

    def _describe(self, index: int) -> dict[str, Any]:
        """Return the metainfo of an image, with the shapes that it has now."""
        info = dict(self.metainfos[index])
        if self.shape_hw is None:
            return info
        width, height = self.scale_xy
        shapes = {name: (int(info[name][0] * height), int(info[name][1] * width)) for name in _SHAPES if name in info}
        return {**info, **shapes, "batch_input_shape": self.shape_hw}

    @property
    def names(self) -> list[str]:
        """Path of each image, for messages."""
        return [name_image(info) for info in self.metainfos]

    def to(self, device: torch.device | str) -> PackedBatch:
        """Return the batch on a device; copies from pinned memory to a GPU do not wait."""
        is_asynchronous = torch.device(device).type != "cpu"  # what is copied to the host may be read at once
        return self._map(lambda tensor: tensor.to(device, non_blocking=is_asynchronous))

    def record_stream(self, stream: Any) -> None:
        """Keep the memory of all tensors until the work that a CUDA stream has now is done."""
        self._map(lambda tensor: tensor.record_stream(stream))

    def pin_memory(self) -> PackedBatch:
        """Return the batch in pinned memory, as a data loader asks for."""
        return self._map(Tensor.pin_memory)

    def resize(self, scale_xy: tuple[float, float], shape_hw: tuple[int, int]) -> PackedBatch:
        """Return the batch for images that were resized.

        Args:
            scale_xy: Factors of width and height.
            shape_hw: New height and width in pixels.
        """
        people = self.people
        factors = people.boxes.new_full((4,), scale_xy[0])
        factors[1::2] = scale_xy[1]
        masks = self.masks
        if masks is not None:
            masks = torch.nn.functional.interpolate(masks.float(), shape_hw, mode="bilinear", align_corners=False)
        return replace(
            self,
            people=replace(
                people,
                boxes=people.boxes * factors,
                keypoints=people.keypoints * factors[:2],
                areas=people.areas * (scale_xy[0] * scale_xy[1]),
            ),
            masks=masks,
            shape_hw=shape_hw,
            scale_xy=(self.scale_xy[0] * scale_xy[0], self.scale_xy[1] * scale_xy[1]),
        )

    def _map(self, function: Any) -> PackedBatch:
        people = {field.name: function(getattr(self.people, field.name)) for field in fields(People)}
        return replace(self, people=People(**people), masks=None if self.masks is None else function(self.masks))


def join_tensors(tensors: Sequence[Tensor]) -> tuple[Tensor, Layout]:
    """Return tensors of one device as one of bytes, and the type and shape of each for ``split_tensors``.

    Examples:
        >>> given = [torch.tensor([True, False, True]), torch.tensor([[1.5, 2.5]])]
        >>> split_tensors(*join_tensors(given))
        [tensor([ True, False,  True]), tensor([[1.5000, 2.5000]])]
    """
    parts = [tensor.reshape(-1).view(torch.uint8) for tensor in tensors]
    padded = [torch.nn.functional.pad(part, (0, -len(part) % _ALIGNMENT)) for part in parts]
    return torch.cat(padded), [(tensor.dtype, tensor.shape) for tensor in tensors]


def split_tensors(joined: Tensor, layout: Layout) -> list[Tensor]:
    """Return the tensors that ``join_tensors`` joined, as views of its result, which may be longer."""
    tensors, start = [], 0
    for dtype, shape in layout:
        end = start + shape.numel() * dtype.itemsize
        tensors.append(joined[start:end].view(dtype).view(shape))
        start = end + -end % _ALIGNMENT
    return tensors


def measure_layout(layout: Layout) -> int:
    """Return the number of bytes of a joined tensor."""
    sizes = [shape.numel() * dtype.itemsize for dtype, shape in layout]
    return sum(size + -size % _ALIGNMENT for size in sizes)


def put_together(tensors: Sequence[Tensor], names: Sequence[str], values: Mapping[str, Any]) -> PackedBatch:
    """Return the batch that ``PackedBatch.take_apart`` took apart."""
    parts = dict(zip(names, tensors))
    masks = parts.pop("masks", None)
    return PackedBatch(**{**values, "people": People(**parts), "masks": masks})


def _restore(joined: Tensor, layout: Layout, names: Sequence[str], values: Mapping[str, Any]) -> PackedBatch:
    return put_together(split_tensors(joined, layout), names, values)


def pack_samples(data_samples: Sequence[Any], dtype: torch.dtype = torch.float32) -> PackedBatch:
    """Pack the data samples of a batch.

    Args:
        data_samples: MMPose's ``PoseDataSample``; of ``gt_instance_labels`` are read ``bboxes`` (n, 4),
            ``labels`` (n,), ``keypoints`` (n, K, 2), ``keypoints_visible`` (n, K), ``areas`` (n,) and
            ``keypoints_visible_weights`` (n, K), ones where an image has none; of ``gt_fields`` ``heatmap_mask``
            (1, H, W). The mask of an image without people is not read: as in MMPose 1.3, it counts everywhere.
        dtype: Type of boxes, keypoints, visibility and areas.

    Raises:
        ValueError: Keypoints or boxes of one image have another shape than those of the others, with its name.
    """
    instances = [sample.gt_instance_labels for sample in data_samples]
    counts = tuple(len(each.labels) for each in instances)
    for name in ("keypoints", "bboxes"):
        _check_same_shape(data_samples, name)
    num_images, most = len(counts), max(counts, default=0)
    device = instances[0].labels.device
    places = [image * most + row for image, count in enumerate(counts) for row in range(count)]
    place = torch.tensor(places, dtype=torch.long).to(device, non_blocking=True)

    def pad(name: str, dtype: torch.dtype) -> Tensor:
        values = torch.cat([_read(each, name) for each in instances]).to(dtype)
        padded = values.new_zeros((num_images * most, *values.shape[1:]))
        return padded.index_copy_(0, place, values).view(num_images, most, *values.shape[1:])

    is_person = torch.zeros(num_images * most, dtype=torch.bool)
    is_person[places] = True
    labels = pad("labels", torch.long)
    numbers = {ours: pad(theirs, dtype) for ours, theirs in _FIELDS.items() if ours != "labels"}
    smallest, largest = torch.stack(labels.aminmax()).tolist() if places else (0, 0)  # of those in the padding, too
    return PackedBatch(
        people=People(
            is_person=is_person.view(num_images, most).to(device, non_blocking=True), labels=labels, **numbers
        ),
        masks=stack_masks(data_samples, counts),
        metainfos=Metainfos(sample.metainfo for sample in data_samples),
        counts=counts,
        labels_range=(smallest, largest),
        kind=type(data_samples[0]),
    )


def _read(instances: Any, name: str) -> Tensor:
    """Return a field of the people of an image."""
    if name == "keypoints_visible_weights" and name not in instances:
        return torch.ones_like(instances.keypoints_visible)
    values: Tensor = instances[name]
    return values


def _check_same_shape(data_samples: Sequence[Any], name: str) -> None:
    """Check that the people of all images have values of one shape; an image without people may have any."""
    shapes: dict[tuple[int, ...], str] = {}
    for sample in data_samples:
        values = sample.gt_instance_labels[name]
        if len(values):
            shapes.setdefault(tuple(values.shape[1:]), name_image(sample.metainfo))
    if len(shapes) > 1:
        (first, path), (second, other), *_ = shapes.items()
        raise ValueError(
            f"{other}: {name} of a person have shape {second}, and those of {path} have {first}: images of one "
            "batch need the same keypoints."
        )


def stack_masks(data_samples: Sequence[Any], counts: Sequence[int]) -> Tensor | None:
    """Return the (B, 1, H, W) masks of the images that have people, zeros for the others; None if none has one."""
    masks = [
        sample.gt_fields.heatmap_mask if count and "heatmap_mask" in sample.get("gt_fields", ()) else None
        for sample, count in zip(data_samples, counts)
    ]
    some = next((mask for mask in masks if mask is not None), None)
    if some is None:
        return None
    return torch.stack([torch.zeros_like(some) if mask is None else mask for mask in masks])
