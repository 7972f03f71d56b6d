"""Sources of ``Pose`` as one stream of frames, read ahead in threads and in bounded memory.

Images may be given as files, folders, patterns (``photos/*.jpg``), web addresses, file content, arrays (BGR, as
OpenCV reads), Pillow images, or a list of any of these.  Other sources are videos (files and addresses), cameras
(numbers) and live streams (``rtsp://``).
"""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np

from rtmo_plugin.errors import DataError, MissingFileError, UserError
from rtmo_plugin.media.file_patterns import VIDEO_SUFFIXES, find_by_pattern
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.media.image_headers import SUFFIXES
from rtmo_plugin.media.images import is_pillow
from rtmo_plugin.media.read_ahead import keep_latest, map_ahead, read_ahead
from rtmo_plugin.media.single_images import is_web, open_image
from rtmo_plugin.media.video import open_camera, open_video, read_camera, read_video

__all__ = ["Frame", "SourceKind", "expand", "expand_all", "find_kind", "read_frames"]

_NUM_READERS = 2
_NUM_AHEAD = 4
_MAX_DIGITS = 18  # digits of a camera number
_LIVE = ("rtsp://", "rtmp://", "udp://", "tcp://")

_Load = Callable[[], Frame]  # reads the frame when it is called


class SourceKind(Enum):
    """Kind of a source, by what it contains."""

    IMAGE = "one image"
    IMAGES = "several images, perhaps videos among them"
    VIDEO = "the frames of one video"
    LIVE = "an endless stream of frames"


def read_frames(source: Any, *, start: int = 0, num_readers: int = _NUM_READERS) -> Iterator[Frame]:
    """Return the frames of a source in order; threads read ahead while they are used.

    A live source gives its newest frame and drops older ones. If one of several images cannot be read, its frame has
    an error, and the others follow.

    Args:
        source: Any source that this module lists.
        start: Index of the first frame; earlier frames of a video are skipped, and images are counted from it.
        num_readers: Number of threads that decode image files.

    Raises:
        MissingFileError: The file, folder or camera does not exist or is empty; raised at once.
        DataError: The object is not a source, or the video cannot be opened.
    """
    kind = find_kind(source)
    if kind is SourceKind.LIVE:
        return keep_latest(_open_live(source))
    loads = _open_video(source, start) if kind is SourceKind.VIDEO else _open(source, kind, count(start))
    return _load(loads, num_readers)


def find_kind(source: Any) -> SourceKind:
    """Return the kind of a source, without opening it.

    Raises:
        DataError: The object is not a source.
    """
    if isinstance(source, bool):  # which is an ``int``
        raise _refuse(source)
    if isinstance(source, (str, Path)):
        return _find_kind_by_name(str(source))
    if isinstance(source, (int, np.integer)):
        return SourceKind.LIVE
    if isinstance(source, np.ndarray):
        return SourceKind.IMAGES if source.ndim == 4 else SourceKind.IMAGE
    if isinstance(source, (bytes, bytearray, memoryview, io.BytesIO)) or is_pillow(source):
        return SourceKind.IMAGE
    if isinstance(source, Iterable):
        return SourceKind.IMAGES
    raise _refuse(source)


def _load(loads: Iterator[_Load], num_readers: int) -> Iterator[Frame]:
    """Yield the frames; one thread decodes videos, and others decode image files."""
    with ThreadPoolExecutor(num_readers) as readers:
        yield from map_ahead(readers, lambda load: load(), read_ahead(loads, _NUM_AHEAD), num_readers)


def _find_kind_by_name(name: str) -> SourceKind:
    path = Path(name)
    is_number = name.isdecimal() and len(name) <= _MAX_DIGITS
    if name.startswith(_LIVE) or (is_number and not os.path.exists(name)):
        return SourceKind.LIVE
    if path.suffix.lower() in VIDEO_SUFFIXES and not _is_pattern(name):
        return SourceKind.VIDEO
    if is_web(name):
        return SourceKind.IMAGE
    return SourceKind.IMAGES if os.path.isdir(name) or _is_pattern(name) else SourceKind.IMAGE


def _is_pattern(name: str) -> bool:
    return glob.has_magic(name) and not os.path.exists(name)


def _open(source: Any, kind: SourceKind, numbers: Iterator[int]) -> Iterator[_Load]:
    """Open a source, and raise errors of the source as a whole.

    Args:
        source: Source; a live one only as one of several.
        kind: Kind of the source.
        numbers: Iterator over the indices of images; a video among several takes one as well.
    """
    if kind in (SourceKind.LIVE, SourceKind.VIDEO):
        loads = map(_wrap, _open_live(source)) if kind is SourceKind.LIVE else _open_video(source)
        next(numbers)
        return loads
    if kind is SourceKind.IMAGE:
        return iter([partial(open_image(source), next(numbers))])
    each = expand(source) if isinstance(source, (str, Path)) else source
    return chain.from_iterable(map(partial(_open_item, numbers=numbers), each))


def _open_item(item: Any, numbers: Iterator[int]) -> Iterator[_Load]:
    """Open one of several sources; a failure becomes the error of its frame."""
    try:
        return _open(item, find_kind(item), numbers)
    except UserError as error:
        index, name = next(numbers), str(item) if isinstance(item, (str, Path, int)) else ""
        return iter([partial(Frame, None, name or f"image {index}", None, index, error=str(error))])


def _open_video(source: Any, start: int = 0) -> Iterator[_Load]:
    path = None if "://" in str(source) else Path(source)
    return map(_wrap, read_video(open_video(source), str(source), path, start))


def _open_live(source: Any) -> Iterator[Frame]:
    if isinstance(source, str) and not source.isdecimal():
        return read_camera(open_video(source), source)
    return read_camera(open_camera(int(source)), f"camera {source}")


def expand(source: str | Path) -> list[Path]:
    """Return the images and videos of a folder, or the files that match a pattern, sorted by name.

    Raises:
        MissingFileError: No file is found.
    """
    if os.path.isdir(source):
        return _list_folder(Path(source))
    found = find_by_pattern(source)
    if not found:
        raise MissingFileError(f"No file matches the pattern {source}.")
    return found


def expand_all(sources: Iterable[str | int | Path]) -> list[str | int | Path]:
    """Return sources in order, with folders and patterns replaced by their files.

    Raises:
        MissingFileError: A file or folder does not exist, or a pattern matches nothing.
        DataError: A source has no name, such as an array.
    """
    found: list[str | int | Path] = []
    for source in sources:
        kind = find_kind(source)
        if not isinstance(source, (str, int, Path)):
            raise DataError(f"{type(source).__name__} has no name to write a plot under: give files or addresses.")
        if kind is SourceKind.IMAGES:
            found += expand(str(source))
        elif kind is SourceKind.LIVE or "://" in str(source) or os.path.exists(str(source)):
            found.append(source)
        else:
            raise MissingFileError(f"The image, video or folder {source} does not exist.")
    return found


def _list_folder(folder: Path) -> list[Path]:
    suffixes = (*SUFFIXES, *VIDEO_SUFFIXES)
    try:
        found = sorted(each for each in folder.iterdir() if each.suffix.lower() in suffixes and each.is_file())
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    if not found:
        raise MissingFileError(f"No image or video was found in {folder}: looked for {', '.join(suffixes)}.")
    return found


def _wrap(frame: Frame) -> _Load:
    return lambda: frame


def _refuse(source: Any) -> DataError:
    return DataError(f"{type(source).__name__} is not a source: give a path, an address, an array, a number or a list.")
