"""Files of labels on disk: read them with one sentence for what is wrong, write them whole or not at all."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError, MissingFileError

Coco = dict[str, Any]
SECTIONS = ("images", "annotations", "categories")


def read_coco(path: str | Path) -> Coco:
    """Return a COCO file as it is: nothing of it is checked but its three lists.

    Numbers that JSON does not know (NaN, Infinity) are read, so that a check can name them.

    Raises:
        MissingFileError: There is no such file.
        DataError: It is not whole JSON (the message names the place), or not in COCO's format.
    """
    coco = read_json(path)
    if not isinstance(coco, dict):
        raise DataError(f"{path} is not a COCO file: it holds a {type(coco).__name__}, not an object with lists.")
    missing = [name for name in SECTIONS if not isinstance(coco.get(name), list)]
    if missing:
        raise DataError(f"{path} is not a COCO file: it has no list {' and no list '.join(map(repr, missing))}.")
    return coco


def read_json(path: str | Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        MissingFileError: There is no such file.
        DataError: It cannot be read, or is not whole JSON; the message names the place.
    """
    text = read_text(path)
    try:
        with _without_collector():
            return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not whole JSON: {_describe_place(text, error)}.") from None
    except RecursionError:
        raise DataError(f"{path} is nested too deeply to be labels.") from None


def read_text(path: str | Path) -> str:
    """Return a text file in UTF-8, with or without a byte order mark.

    Raises:
        MissingFileError: There is no such file.
        DataError: It cannot be read, or is not text; the message names the byte.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MissingFileError(f"There is no file {path}.") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not text in UTF-8: byte {error.start} is {error.object[error.start]:#04x}."
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def write_json(path: str | Path, content: Any, indent: int | None = None) -> None:
    """Write ``content`` as JSON: the file appears when it is whole."""
    write_text(path, [json.dumps(content, ensure_ascii=False, indent=indent)])


def write_coco(path: str | Path, coco: Coco) -> None:
    """Write a COCO file, an entry a line, without holding the text of all of it at once."""
    write_text(path, _spell_coco(coco))


def write_text(path: str | Path, parts: Iterable[str]) -> None:
    """Write a text file, and the folders above it: the file appears when it is whole.

    Raises:
        DataError: It cannot be written there.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.writelines(parts)
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"{path} cannot be written: {error.strerror}.") from None


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


def _describe_place(text: str, error: json.JSONDecodeError) -> str:
    place = f"line {error.lineno}, column {error.colno} (character {error.pos:,} of {len(text):,}): {error.msg}"
    is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    return f"{place}; it seems to be cut off there, so copy or download it again" if is_cut else place


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the garbage collector from looking at millions of new lists again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
