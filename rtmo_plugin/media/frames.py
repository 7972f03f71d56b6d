"""Frames: the images of a source, each with its origin and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """Image of a source, or the reason why it could not be read.

    Attributes:
        image: (height, width, 3) BGR uint8, upright. None after an error, or if it is not kept.
        name: Path, address or camera that the image comes from.
        path: Path of the image or video file; None for arrays, addresses and cameras.
        index: Index of the frame in its video or camera, or of the image in its source, where a video counts once; from
            0.
        time_s: Seconds since the start of the video or camera; None for images.
        error: Reason in one sentence why the image could not be read. A video that ends early has it in an additional
            last frame. None if the image was read.
    """

    image: NDArray[Any] | None
    name: str
    path: Path | None = None
    index: int = 0
    time_s: float | None = None
    error: str | None = None

    def __repr__(self) -> str:
        """Return the name and the size in one line, without the pixels."""
        size = "no image" if self.image is None else f"{self.image.shape[1]}x{self.image.shape[0]}"
        time_s = "" if self.time_s is None else f", time_s={self.time_s:g}"
        error = "" if self.error is None else f", error={self.error!r}"
        return f"Frame({self.name!r}, {size}, index={self.index}{time_s}{error})"


# Function from the index of an image in its source to its frame; reading happens when it is called.
Entry = Callable[[int], Frame]
