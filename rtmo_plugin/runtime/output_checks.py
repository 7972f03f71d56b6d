"""Checks of the outputs of an exported file before they are decoded, since its metadata may not fit its graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError
from rtmo_plugin.runtime.model_info import FUSED_OUTPUT, UNCERTAINTY, ModelInfo, count_fused_values
from rtmo_plugin.wording import count

_NUM_CHANNELS = {"box_deltas": 4, "pose_vectors": None}  # None: any number


def check_arrays(
    info: ModelInfo, outputs: Mapping[str, NDArray[Any]], size_wh: tuple[int, int], num_images: int
) -> None:
    """Check the shapes and labels of outputs.

    Args:
        info: Metadata of the file.
        outputs: Arrays by name.
        size_wh: Input width and height in pixels.
        num_images: Number of images in the input.

    Raises:
        DataError: An output is missing, has another shape than the metadata imply, or has a label without a class.
    """
    info.check_outputs({name: value.shape for name, value in outputs.items()}, "The model")
    expected = _list_maps(info, size_wh) if info.cut == "raw" else _list_rows(info, outputs)
    for name, shape in expected.items():
        found, wanted = outputs[name].shape, (num_images, *shape)
        if len(found) != len(wanted) or any(n is not None and n != size for n, size in zip(wanted, found)):
            words = ", ".join("any" if n is None else str(n) for n in wanted)
            raise DataError(
                f"The model's output {name} has the shape {found} instead of ({words}): the file is damaged, or its "
                "metadata are of another file."
            )
    labels = outputs.get("labels")
    if info.cut != "raw" and labels is not None:
        is_wrong = (outputs["dets"][..., 4] > 0) & ~np.isin(labels, np.arange(len(info.classes)))
        if is_wrong.any():
            raise DataError(
                f"The model's output labels has the class {labels[is_wrong][0]}, and its metadata name "
                f"{count(len(info.classes), 'class', 'classes')}, counted from 0: the file is damaged, or its metadata "
                "are of another file."
            )


def _list_rows(info: ModelInfo, outputs: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of the outputs of a file that ends with people or priors, without the batch."""
    shape = outputs[FUSED_OUTPUT if info.cut == "fused" else "dets"].shape
    num_rows = shape[1] if len(shape) > 1 else None
    if info.cut == "fused":
        return {FUSED_OUTPUT: (num_rows, count_fused_values(info.schema.num_keypoints))}
    rows: dict[str, tuple[int | None, ...]] = {
        "dets": (num_rows, 5),
        "keypoints": (num_rows, info.schema.num_keypoints, 3),
    }
    rows |= {UNCERTAINTY: (num_rows, info.schema.num_keypoints, 2)} if info.uncertainty else {}
    return {**rows, "labels": (num_rows,)} if "labels" in outputs else rows


def _list_maps(info: ModelInfo, size_wh: tuple[int, int]) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of the head's maps, without the batch."""
    channels = {
        **_NUM_CHANNELS,
        "class_logits": len(info.classes),
        "visibility_logits": info.schema.num_keypoints,
    }
    return {
        f"{name}_{stride}": (number, size_wh[1] // stride, size_wh[0] // stride)
        for name, number in channels.items()
        for stride in info.strides
    }
