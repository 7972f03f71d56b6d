"""Inspection of a data set's images: whether each is there and whole, and its size."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import read_bytes
from rtmo_plugin.media.image_headers import MAX_IMAGE_BYTES, SUFFIXES, check_pixel_data, read_header

_CHUNK = 256


class ImageInspection(NamedTuple):
    """Result of opening an image file.

    Attributes:
        size_wh: Width and height, upright, as training sees it (EXIF orientation is followed); zeros if unknown.
        kind: Kind of the finding (see ``KINDS``); empty for a good image.
        fault: Reason in words; empty for a good image.
        place: Path below the folder, if the file is elsewhere than its name says.
    """

    size_wh: tuple[int, int] = (0, 0)
    kind: str = ""
    fault: str = ""
    place: str = ""


def inspect_images(names: Iterable[str], folder: str | Path) -> Iterator[tuple[str, ImageInspection]]:
    """Open and decode images in parallel threads, and yield each name with what was found, in order.

    Args:
        names: Paths below ``folder``.
        folder: Folder of the images.

    Raises:
        MissingFileError: The folder does not exist.
    """
    if not Path(folder).is_dir():
        raise MissingFileError(f"There is no image folder {folder}: name the one that the file names are relative to.")
    waiting = iter(names)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(islice(waiting, _CHUNK)):
            yield from zip(chunk, pool.map(inspect_image, (Path(folder) / name for name in chunk)))


def inspect_image(path: Path) -> ImageInspection:
    """Open and decode one image file."""
    if not path.is_file():
        return ImageInspection(kind="image-missing", fault=f"no file {path}")
    try:
        content = read_bytes(path, MAX_IMAGE_BYTES)
        header = read_header(content, "the file")
        check_pixel_data(content, "the file")
    except DataError as error:
        return ImageInspection(kind="image-truncated", fault=str(error).rstrip("."))
    return ImageInspection(header.size_wh)


def find_image_files(folder: Path) -> dict[str, Path]:
    """Return the image files in and below a folder, by their name there; nothing if the folder is missing."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return {path.relative_to(folder).as_posix(): path for path in files}
