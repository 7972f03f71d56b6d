"""Detect a file that prepares its input wrongly, even if the model hardly reacts and all tolerances hold.

Such a file computes exactly what PyTorch computes for another image, such as one with exchanged colors.  So its outputs
are also compared with PyTorch's for such images, and must not be nearer to these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from rtmo_plugin.errors import ExportError
from rtmo_plugin.export.checks.reference import Reference

Misfit = Callable[[Reference, Mapping[str, NDArray[Any]]], float]

_MEAN, _STD = torch.tensor([103.53, 116.28, 123.675]), torch.tensor([57.375, 57.12, 58.395])  # of ImageNet, BGR
_NEARER = 0.5  # rounding alone never brings a file this much nearer to another image
_DECOYS: dict[str, Callable[[Tensor], Tensor]] = {
    "with exchanged color channels": lambda image: image.flip(1),
    "mirrored from left to right": lambda image: image.flip(3),
    "turned upside down": lambda image: image.flip(2),
    "divided by 255": lambda image: image / 255,
    "divided by 128, less 1": lambda image: image / 127.5 - 1,
    "less a mean of 114": lambda image: image - 114,
    "normalized as for ImageNet": lambda image: (image - _MEAN[:, None, None]) / _STD[:, None, None],
}


def check_image(model: Any, image: Tensor, outputs: Mapping[str, NDArray[Any]], measure: Misfit) -> None:
    """Check that a file's outputs are those of its image.

    Args:
        model: Trained model, in eval mode.
        image: (1, 3, H, W) BGR, 0..255.
        outputs: Outputs of the file for the image, by name.
        measure: Function that returns the distance between outputs and a reference.

    Raises:
        ExportError: The outputs are nearer to those of PyTorch for another image.
    """
    own = measure(Reference(model, image), outputs)
    for words, change in _DECOYS.items():
        other = Reference(model, change(image))
        if other.is_finite() and measure(other, outputs) < _NEARER * own:
            raise ExportError(f"It computes what PyTorch computes for the image {words}.")
