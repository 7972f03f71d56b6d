"""The shards of a job: names of images and videos, in parts that one worker processes each."""

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
from rtmo_plugin.media.file_patterns import VIDEO_SUFFIXES
from rtmo_plugin.media.image_headers import SUFFIXES
from rtmo_plugin.media.single_images import is_web
from rtmo_plugin.media.sources import SourceKind, expand, find_kind

_LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class Shard:
    """Consecutive images of a job, or one video.

    Attributes:
        number: Number of the shard, from 0.
        first: Index of its first name in the job.
        names: Paths or web addresses.
        is_video: Whether the shard is one video.
    """

    number: int
    first: int
    names: tuple[str, ...]
    is_video: bool

    def to_json(self) -> str:
        """Return the shard as JSON, with any characters in names."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Shard:
        """Return the shard that ``to_json`` wrote."""
        values = json.loads(text)
        return cls(**{**values, "names": tuple(values["names"])})


def list_inputs(source: Any) -> list[str]:
    """Return the names of the images and videos of a source, in the order of ``Pose``.

    Args:
        source: Image, video, folder, pattern, or a list of these; or a ``.txt`` file with one of these a line.

    Raises:
        MissingFileError: Images and videos are missing.
        DataError: The source has no names, such as an array or a camera.
    """
    if isinstance(source, (str, Path)):
        if Path(source).suffix.lower() != _LIST_SUFFIX:
            return _list_one(source, must_exist=True)
        try:
            content = read_bytes(source, MAX_TEXT_BYTES)
        except (DataError, MissingFileError) as error:
            raise MissingFileError(f"The list of images cannot be read: {error}") from error
        lines = content.decode("utf-8", errors="surrogateescape").splitlines()
        source = [line for line in lines if line.strip()]
    elif not isinstance(source, Iterable):
        raise _refuse(source)
    names = [name for item in source for name in _list_one(item)]
    if not names:
        raise MissingFileError("There is nothing to do: the list of images and videos is empty.")
    return names


def make_shards(names: Sequence[str], size: int) -> list[Shard]:
    """Divide names into shards of at most ``size`` images or of one video, in order."""
    runs: list[tuple[bool, list[tuple[int, str]]]] = []
    for is_video, run in groupby(enumerate(names), key=lambda each: Path(each[1]).suffix.lower() in VIDEO_SUFFIXES):
        numbered, step = list(run), 1 if is_video else size
        runs += [(is_video, numbered[start : start + step]) for start in range(0, len(numbered), step)]
    return [
        Shard(number, run[0][0], tuple(name for _, name in run), is_video)
        for number, (is_video, run) in enumerate(runs)
    ]


def _list_one(item: Any, must_exist: bool = False) -> list[str]:
    """Return the names that one item stands for; a missing one is a name too, unless it ``must_exist``.

    Raises:
        MissingFileError: The item does not exist, but must.
        DataError: The item has no name.
    """
    name = str(item)
    is_plain = Path(name).suffix.lower() in (*SUFFIXES, *VIDEO_SUFFIXES) and not glob.has_magic(name)
    if isinstance(item, (str, Path)) and not must_exist and is_plain:
        return [name]  # not looked up, which takes long for millions
    if not isinstance(item, (str, Path)) or find_kind(item) is SourceKind.LIVE:
        raise _refuse(item)
    try:
        if find_kind(item) is SourceKind.IMAGES:
            return list(map(str, expand(item)))
        if not is_web(name) and not Path(item).exists():
            raise MissingFileError(f"The image, video or folder {item} does not exist.")
    except MissingFileError:
        if must_exist:
            raise
    return [name]


def _refuse(item: Any) -> DataError:
    what = item if isinstance(item, (str, int)) else type(item).__name__
    return DataError(f"{what} cannot be processed in a job: give names of images, videos or folders.")
