"""COCO files on disk, read and written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import read_json, write_file

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
    """Write a COCO file, an entry a line, without holding the text of all of it at once."""
    write_file(path, _spell_coco(coco), overwrite=overwrite)


def _spell_coco(coco: Coco) -> Iterator[str]:
    spell = json.JSONEncoder(ensure_ascii=False).encode
    for number, (key, value) in enumerate(coco.items()):
        yield f"{',' if number else '{'}\n{spell(key)}: "
        if key not in SECTIONS:
            yield spell(value)
            continue
        yield "["
        yield from (f"{',' if index else ''}\n{spell(entry)}" for index, entry in enumerate(value))
        yield "]"
    yield "}\n"
