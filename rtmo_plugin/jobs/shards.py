"""The work of a job: names of images and videos, cut into shards, each of which is done by one worker."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import MAX_TEXT_BYTES, read_bytes
from rtmo_plugin.media.image_headers import SUFFIXES
from rtmo_plugin.media.single_images import is_web
from rtmo_plugin.media.sources import SourceKind, expand, find_kind
from rtmo_plugin.media.video import VIDEO_SUFFIXES

_LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class Shard:
    """Some images that follow one another in the work, or one video.

    Attributes:
        number: Number in the order of the work, from 0.
        first: Index of its first name in the work.
        names: Paths or addresses.
        is_video: Whether it is one video.
    """

    number: int
    first: int
    names: tuple[str, ...]
    is_video: bool

    def to_json(self) -> str:
        """Return it as text, whatever characters the names have."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Shard:
        """Return what ``to_json`` wrote."""
        values = json.loads(text)
        return cls(**{**values, "names": tuple(values["names"])})


def list_names(source: Any) -> list[str]:
    """Return the images and videos of a source, in the order in which ``Pose`` takes them.

    Args:
        source: An image, video, folder, pattern, or a list of these; or a ``.txt`` file with one of these a line.

    Raises:
        MissingFileError: There is nothing.
        DataError: It has no names, such as an array or a camera.
    """
    if isinstance(source, (str, Path)):
        if Path(source).suffix.lower() != _LIST_SUFFIX:
            return _list_one(source, must_exist=True)
        source = _read_list(Path(source))
    elif not isinstance(source, Iterable):
        raise _refuse(source)
    names = [name for item in source for name in _list_one(item)]
    if not names:
        raise MissingFileError("There is nothing to do: the list of images and videos is empty.")
    return names


def make_shards(names: Sequence[str], size: int) -> list[Shard]:
    """Cut work into shards of at most ``size`` images, and of one video each, in the order of the names."""
    runs: list[tuple[bool, list[tuple[int, str]]]] = []
    for is_video, run in groupby(enumerate(names), key=lambda each: _is_video(each[1])):
        numbered, step = list(run), 1 if is_video else size
        runs += [(is_video, numbered[start : start + step]) for start in range(0, len(numbered), step)]
    return [
        Shard(number, run[0][0], tuple(name for _, name in run), is_video)
        for number, (is_video, run) in enumerate(runs)
    ]


def _list_one(item: Any, must_exist: bool = False) -> list[str]:
    """Return the names that one thing stands for; one of several that is not there is a name, and its error later.

    Raises:
        MissingFileError: There is nothing, where it ``must_exist``.
        DataError: It has no name.
    """
    name = str(item)
    is_plain = Path(name).suffix.lower() in (*SUFFIXES, *VIDEO_SUFFIXES) and not glob.has_magic(name)
    if isinstance(item, (str, Path)) and not must_exist and is_plain:
        return [name]  # not looked for here: that takes long, of millions
    if not isinstance(item, (str, Path)) or find_kind(item) is SourceKind.LIVE:
        raise _refuse(item)
    try:
        if find_kind(item) is SourceKind.IMAGES:
            return list(map(str, expand(item)))
        if not is_web(name) and not Path(item).exists():
            raise MissingFileError(f"There is no image, video or folder {item}.")
    except MissingFileError:
        if must_exist:
            raise
    return [name]


def _read_list(path: Path) -> list[str]:
    try:
        content = read_bytes(path, MAX_TEXT_BYTES)
    except (DataError, MissingFileError) as error:
        raise MissingFileError(f"The list of images cannot be read: {error}") from error
    lines = content.decode("utf-8", errors="surrogateescape").splitlines()
    return [line for line in lines if line.strip()]


def _is_video(name: str) -> bool:
    return Path(name).suffix.lower() in VIDEO_SUFFIXES


def _refuse(item: Any) -> DataError:
    what = item if isinstance(item, (str, int)) else type(item).__name__
    return DataError(f"{what} cannot be done in a job: give names of images, videos or folders.")
