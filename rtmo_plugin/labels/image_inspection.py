"""The image files of a data set: whether each is there and whole, its size, and where it is if it was moved."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import read_bytes
from rtmo_plugin.labels.coco_files import Coco
from rtmo_plugin.media.image_headers import MAX_IMAGE_BYTES, SUFFIXES, check_pixel_data, read_header
from rtmo_plugin.progress_bar import show_progress

_CHUNK = 256


class ImageInspection(NamedTuple):
    """Result of opening an image file.

    Attributes:
        size_wh: Width and height of the upright image (EXIF orientation is applied); zeros if unknown.
        kind: Kind of the finding (see ``KINDS``); empty for a good image.
        fault: Reason in words; empty for a good image.
        place: Path below the folder, if the file is not at the path of its name.
    """

    size_wh: tuple[int, int] = (0, 0)
    kind: str = ""
    fault: str = ""
    place: str = ""


def open_images(coco: Coco, folder: str | Path) -> dict[str, ImageInspection]:
    """Open the images of a COCO file, each once, and return what was found by file name.

    Raises:
        MissingFileError: The folder does not exist.
        DataError: It has none of the images.
    """
    entries = [entry for entry in coco["images"] if isinstance(entry, dict)]
    names = {entry["file_name"]: None for entry in entries if isinstance(entry.get("file_name"), str)}
    places = find_moved_images(names, folder)
    looked = inspect_images([places.get(name, name) for name in names], folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about damaged files, which the report names
        bar = show_progress(looked, desc="opening images", total=len(names))
        found = {
            name: inspection for (_, inspection), name in zip(bar, names)
        }  # the bar first, so that it sees its end
    if found and all(inspection.kind == "image-missing" for inspection in found.values()):
        raise DataError(
            f"{folder} has none of the {len(found):,} images, such as {next(iter(found))}: name the folder that the "
            "file names are relative to."
        )
    moved = {places[name]: inspection for name, inspection in found.items() if name in places}
    for name, place in places.items():
        if not found[name].fault:
            fault = f"no file {name}, but {place}"
            found[name] = found[name]._replace(kind="image-elsewhere", fault=fault, place=place)
    return {**moved, **found}


def inspect_images(names: Iterable[str], folder: str | Path) -> Iterator[tuple[str, ImageInspection]]:
    """Open and decode images in parallel threads, and yield each name with what was found, in order.

    Args:
        names: Paths below ``folder``.
        folder: Folder of the images.

    Raises:
        MissingFileError: The folder does not exist.
    """
    if not Path(folder).is_dir():
        raise MissingFileError(
            f"The image folder {folder} does not exist: name the one that the file names are relative to."
        )
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
    """Return the image files in and below a folder by their relative path; nothing if the folder is missing."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return {path.relative_to(folder).as_posix(): path for path in files}


def find_moved_images(names: Iterable[str], folder: str | Path) -> dict[str, str]:
    """Return the paths below ``folder`` of files that are not at the path of their name, if only one file matches.

    Leading folders of a name may be missing, separators may be those of Windows, and case may differ.

    Args:
        names: File names of a label file.
        folder: Folder of the images.
    """
    lost = [name for name in names if name and not Path(folder, name).is_file()]
    if not lost:
        return {}
    root = Path(folder)
    present = {
        Path(parent, name).relative_to(root).as_posix(): None for parent, _, files in os.walk(root) for name in files
    }
    by_tail: dict[str, set[str]] = defaultdict(set)
    for place in present:
        parts = place.casefold().split("/")
        for start in range(len(parts)):
            by_tail["/".join(parts[start:])].add(place)
    found = {name: _find_place(name, set(present), by_tail) for name in lost}
    return {name: place for name, place in found.items() if place is not None}


def _find_place(name: str, present: set[str], by_tail: dict[str, set[str]]) -> str | None:
    """Return the file whose path has the longest common end with a name; None if no file or several match."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    for start in range(len(parts)):
        tail = "/".join(parts[start:])
        if tail in present:
            return tail
        candidates = by_tail.get(tail.casefold(), set())
        if candidates:
            return next(iter(candidates)) if len(candidates) == 1 else None
    return None
