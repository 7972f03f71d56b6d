"""Open the images of a data set: is each there, whole, and of what size?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import read_bytes
from rtmo_plugin.image_headers import MAX_IMAGE_BYTES, SUFFIXES, check_pixel_data, read_header

_CHUNK = 256


class Picture(NamedTuple):
    """What opening an image file showed.

    Attributes:
        size_wh: Upright, as training sees it: EXIF orientation is followed.
        kind: Kind of the finding (see ``KINDS``), where there is one.
        fault: Words for it; empty for a good picture.
        place: Path below the folder, if the file is elsewhere than its name says.
    """

    size_wh: tuple[int, int] = (0, 0)
    kind: str = ""
    fault: str = ""
    place: str = ""


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
        content = read_bytes(path, MAX_IMAGE_BYTES)
        header = read_header(content, "the file")
        check_pixel_data(content, "the file")
    except DataError as error:
        return Picture(kind="image-truncated", fault=str(error).rstrip("."))
    return Picture(header.size_wh)


def list_pictures(folder: Path) -> dict[str, Path]:
    """Return the picture files in and below a folder by their name there; none where there is no folder."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return {path.relative_to(folder).as_posix(): path for path in files}


def strip_suffix(name: str) -> str:
    """Return the name of an image without its suffix, as YOLO and LabelMe name labels.

    Examples:
        >>> strip_suffix("v1.0/a.b.jpg"), strip_suffix("v1.0/a")
        ('v1.0/a.b', 'v1.0/a')
    """
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.rpartition('.')[0] or last}"
