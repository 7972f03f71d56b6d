"""Files by their names: the suffixes of videos, and patterns such as ``photos/**/*.jpg``."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts", ".m2ts", ".3gp",
    ".gif",
)  # fmt: skip
_DEEP = "**"


def find_by_pattern(pattern: str | Path) -> list[Path]:
    """Return the files that match a pattern, sorted; ``**`` matches any number of folders.

    As in a shell, ``*`` leaves out names that begin with a dot. ``**`` follows links to folders, but
    enters each folder only once, so that a link to a folder above it does no harm.
    """
    path = Path(pattern)
    folders: Iterable[Path] = [Path(path.anchor)]
    *steps, last = path.parts[1:] if path.anchor else path.parts
    for step in steps:
        folders = list(_list_matching(folders, step, is_folder=True))
    if last == _DEEP:
        folders, last = list(_list_matching(folders, _DEEP, is_folder=True)), "*"
    return sorted(set(_list_matching(folders, last, is_folder=False)))


def _list_matching(folders: Iterable[Path], step: str, *, is_folder: bool) -> Iterator[Path]:
    """Yield the folders, or the files, that match one part of a pattern in some folders."""
    has_kind = os.path.isdir if is_folder else os.path.isfile
    if step == _DEEP:
        yield from _walk(folders)
    elif not glob.has_magic(step):
        yield from (path for folder in folders if has_kind(path := folder / step))
    else:
        for folder in folders:
            names = fnmatch.filter(_list_names(folder), step)
            yield from (folder / name for name in names if _is_meant(name, step) and has_kind(folder / name))


def _walk(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield folders and all folders below them; those reached only through links come last."""
    entered: set[tuple[int, int]] = set()
    waiting, links = list(folders)[::-1], list[Path]()
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop()
        try:
            status = os.stat(folder)
        except OSError:  # removed in the meantime, or a link to itself
            continue
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        yield folder
        below = [folder / name for name in _list_names(folder) if _is_meant(name, "*")]
        found = [each for each in sorted(below, reverse=True) if os.path.isdir(each)]
        waiting += [each for each in found if not os.path.islink(each)]
        links[:0] = [each for each in found if os.path.islink(each)]


def _list_names(folder: Path) -> list[str]:
    """Return the names in a folder; a folder that cannot be read has none, as in a shell."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _is_meant(name: str, step: str) -> bool:
    return step.startswith(".") or not name.startswith(".")
