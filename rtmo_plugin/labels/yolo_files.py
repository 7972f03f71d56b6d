"""YOLO pose folders on disk: data.yaml, a text file for each image with a line for each person, lists of images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import read_text, write_file
from rtmo_plugin.labels.numbers import read_number
from rtmo_plugin.labels.pictures import list_pictures, strip_suffix
from rtmo_plugin.labels.yolo_folders import find_split, read_yaml

Documents = dict[str, Any]


def read_yolo(source: Path, split: str) -> Documents:
    """Return ``{"data": data.yaml, "labels": {stem: rows of numbers}, "place": where they are}``.

    Args:
        source: The folder, or its data.yaml.
        split: Name of the split.

    Raises:
        MissingFileError: There is no data.yaml, or no folder of labels.
        DataError: One of the files is not what it should be; the message names file and line.
    """
    folder, data = read_yaml(source)
    place = find_split(folder, data, split)
    num_values = 5 + data["kpt_shape"][0] * data["kpt_shape"][1]
    rows = {stem: _read_rows(path, num_values) for stem, path in place.list_labels().items()}
    plain = json.loads(json.dumps({**data, "names": _list_names(data["names"])}, default=str))
    documents = {"data": plain, "labels": rows, "place": place.find_pattern(split)}
    if place.listing is None:
        return documents
    return {**documents, "listing": {"name": place.listing.name, "lines": read_text(place.listing).splitlines()}}


def write_yolo(folder: Path, split: str, documents: Documents) -> None:
    """Write data.yaml, the label files, and the list of images where there was one."""
    data = {**documents["data"], "names": dict(enumerate(documents["data"]["names"]))}
    data = {key: _number_keys(value) for key, value in data.items()}
    write_file(folder / "data.yaml", [yaml.safe_dump(data, sort_keys=False, allow_unicode=True)])
    labels = folder / documents["place"].format(split=split)
    labels.mkdir(parents=True, exist_ok=True)  # also of a split without labels
    for stem, rows in documents["labels"].items():
        write_file(labels / f"{stem}.txt", (" ".join(map(repr, row)) + "\n" for row in rows))
    if "listing" in documents:
        write_file(folder / documents["listing"]["name"], (f"{line}\n" for line in documents["listing"]["lines"]))


def find_pictures(source: Path, split: str, images: Path | None) -> dict[str, Path]:
    """Return the pictures of a split by their name below the folder of images.

    Args:
        source: The folder, or its data.yaml.
        split: Name of the split.
        images: Folder of the images, where they are not where data.yaml says.
    """
    place = find_split(*read_yaml(source), split)
    return {name: path for name, path in list_pictures(images or place.images).items() if place.has(strip_suffix(name))}


def _read_rows(path: Path, num_values: int) -> list[list[float]]:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if words:
            rows.append(_read_row(words, num_values, f"{path}, line {number}"))
    return rows


def _read_row(words: list[str], num_values: int, place: str) -> list[float]:
    if len(words) != num_values:
        raise DataError(f"{place}: {len(words)} numbers, but kpt_shape in data.yaml makes {num_values}.")
    try:
        return [int(words[0]), *(read_number(word) for word in words[1:])]
    except ValueError:
        raise DataError(
            f"{place}: a class number and decimal numbers are needed, not {' '.join(words)[:60]}."
        ) from None


def _list_names(names: Any) -> list[str]:
    """Return the class names, which YAML holds as a list or by number."""
    if isinstance(names, dict) and sorted(names) != list(range(len(names))):
        raise DataError(f"`names` in data.yaml must number the classes from 0, not {list(names)[:10]}.")
    return [str(names[number]) for number in range(len(names))]


def _number_keys(value: Any) -> Any:
    """Return a value of data.yaml with numbers for keys again, which JSON cannot have."""
    if not isinstance(value, dict):
        return value
    return {int(key) if str(key).isdecimal() else key: item for key, item in value.items()}
