"""Open the images of a data set: is each there, whole, and of what size?"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from rtmo_plugin.errors import MissingFileError

_ORIENTATION = 0x0112  # EXIF tag; from 5 on the picture lies on its side
_CHUNK = 256
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_UNREADABLE = (OSError, SyntaxError, ValueError, struct.error, zlib.error, Image.DecompressionBombError)


class Picture(NamedTuple):
    """What opening an image file showed.

    Attributes:
        size_wh: Upright, as training sees it: EXIF orientation is followed.
        kind: Kind of the finding (see ``KINDS``), where there is one.
        fault: Words for it; empty for a good picture.
    """

    size_wh: tuple[int, int] = (0, 0)
    kind: str = ""
    fault: str = ""


def look_at_pictures(names: Iterable[str], folder: str | Path) -> Iterator[tuple[str, Picture]]:
    """Open and decode images in parallel threads, and yield each name with what was found, in order.

    Args:
        names: Paths below ``folder``.
        folder: Of the images.

    Raises:
        MissingFileError: There is no such folder.
    """
    if not Path(folder).is_dir():
        raise MissingFileError(f"There is no image folder {folder}: name the one that the file names are relative to.")
    waiting = iter(names)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(islice(waiting, _CHUNK)):
            yield from zip(chunk, pool.map(look_at_picture, (Path(folder) / name for name in chunk)))


def look_at_picture(path: Path) -> Picture:
    """Return what opening and decoding one file shows."""
    if not path.is_file():
        return Picture(kind="image-missing", fault=f"no file {path}")
    try:
        with Image.open(path) as image:
            size_wh = _stand_upright(image)
            image.draft("RGB", (1, 1))  # of a JPEG: every byte is read, but few pixels are made
            image.load()
    except _UNREADABLE as error:
        return Picture(kind="image-truncated", fault=str(error) or type(error).__name__)
    return Picture(size_wh)


def list_pictures(folder: Path) -> dict[str, Path]:
    """Return the picture files in and below a folder by their name there; none where there is no folder."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    return {path.relative_to(folder).as_posix(): path for path in files}


def strip_suffix(name: str) -> str:
    """Return the name of a picture without its suffix, as YOLO and LabelMe name labels."""
    return name.rpartition(".")[0] or name


def read_size(path: Path) -> tuple[int, int] | None:
    """Return (width, height) of a picture from its first bytes; None where it is missing or none."""
    try:
        with Image.open(path) as image:
            return _stand_upright(image)
    except _UNREADABLE:
        return None


def _stand_upright(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if image.getexif().get(_ORIENTATION, 1) >= 5 else (width, height)
