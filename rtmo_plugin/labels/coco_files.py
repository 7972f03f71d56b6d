"""COCO files: read, written, and the parts that all checks look at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import read_json, write_file
from rtmo_plugin.labels.json_values import is_id

Coco = dict[str, Any]
SECTIONS = ("images", "annotations", "categories")


def read_coco(path: str | Path) -> Coco:
    """Return the content of a COCO file; only its three lists are checked.

    Numbers that JSON does not know (NaN, Infinity) are read, so that a check can name them.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It is not valid JSON (the message names the place), or not in COCO's format.
    """
    coco = read_json(path)
    if not isinstance(coco, dict):
        raise DataError(f"{path} is not a COCO file: it holds a {type(coco).__name__}, not an object with lists.")
    missing = [name for name in SECTIONS if not isinstance(coco.get(name), list)]
    if missing:
        raise DataError(f"{path} is not a COCO file: it has no list {' and no list '.join(map(repr, missing))}.")
    return coco


def write_coco(path: str | Path, coco: Coco, *, overwrite: bool = True) -> None:
    """Write a COCO file with one entry a line, without holding its whole text in memory."""
    write_file(path, _encode_coco(coco), overwrite=overwrite)


def list_entries(entries: Iterable[Any], key: str = "id") -> list[dict[str, Any]]:
    """Return the entries of a list that are objects with a whole number under ``key``."""
    return [entry for entry in entries if isinstance(entry, dict) and is_id(entry.get(key))]


def split_points(keypoints: list[float]) -> Iterator[tuple[float, float, float]]:
    """Return an iterator over (x, y, visibility) of K keypoints, given as 3K numbers."""
    return zip(keypoints[0::3], keypoints[1::3], keypoints[2::3])


def _encode_coco(coco: Coco) -> Iterator[str]:
    encode = json.JSONEncoder(ensure_ascii=False).encode
    for number, (key, value) in enumerate(coco.items()):
        yield f"{',' if number else '{'}\n{encode(key)}: "
        if key not in SECTIONS:
            yield encode(value)
            continue
        yield "["
        yield from (f"{',' if index else ''}\n{encode(entry)}" for index, entry in enumerate(value))
        yield "]"
    yield "}\n"
