"""YOLO pose folders: data.yaml, and a text file for each image with a line for each person.

Coordinates are fractions of the image, so its size must be known. ``yolo_folders`` knows where the files are.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import read_text
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.keypoints.sides import read_sides
from rtmo_plugin.labels.categories import list_partners
from rtmo_plugin.labels.image_inspection import find_image_files
from rtmo_plugin.labels.json_values import parse_number
from rtmo_plugin.labels.label_set import (
    LabelledImage,
    LabelSet,
    Person,
    ReadOptions,
    check_categories,
    strip_suffix,
    tidy,
    write_new,
)
from rtmo_plugin.labels.yolo_folders import find_split, is_empty, read_yaml
from rtmo_plugin.media.image_headers import read_image_size

_FRACTION_DECIMALS = 15  # survive the way to pixels and back, which ``tidy`` rounds to 10
_LARGEST_FRACTION = 2.0  # of a box that leaves the image; larger ones are pixels


def read_yolo(source: Path, options: ReadOptions) -> LabelSet:
    """Return the labels of one split.

    Args:
        source: Folder, or its data.yaml.
        options: Split, folder of the images and keypoint names.

    Raises:
        MissingFileError: There is no data.yaml, or no folder of labels.
        DataError: A file is not what it should be, or an image is missing or cannot be read; the message
            names file and line.
    """
    folder, data = read_yaml(source)
    place = find_split(folder, data, options.split)
    num_keypoints, dims = data["kpt_shape"]
    notes: list[str] = []
    categories = _find_categories(data, options, notes)
    check_categories(categories, "data.yaml")
    sizes = options.sizes
    if sizes is None:
        files_by_name = find_image_files(options.images or place.images)
        sizes = {name: read_image_size(path) for name, path in files_by_name.items() if place.has(strip_suffix(name))}
    files: dict[str, str] = {}
    for name in sizes:
        other = files.setdefault(strip_suffix(name), name)
        if other != name:
            raise DataError(f"YOLO names labels like their image, and two are alike: {other} and {name}.")
    labels = place.list_labels(files)
    unknown = [stem for stem in labels if stem not in files]
    if unknown:
        raise DataError(
            f"The size of the image of {unknown[0]}.txt is not known, as there is no such image in "
            f"{options.images or place.images}: add it, or name the folder of the images with --images."
        )
    missing = place.list_missing(files)
    if missing:
        notes.append(
            f"Images that {place.listing} lists and that are not there: {len(missing):,}, such as {missing[0]}."
        )
    names = list(categories)
    rows_by_stem = {stem: _read_rows(path, 5 + num_keypoints * dims, len(names)) for stem, path in labels.items()}
    _check_fractions(rows_by_stem, labels)
    images: dict[str, LabelledImage] = {}
    for stem, name in files.items():
        people = [_decode_row(row, names, sizes[name], dims) for row in rows_by_stem.get(stem, [])]
        images[name] = LabelledImage(*sizes[name], people)
    return LabelSet(categories, images, notes)


def write_yolo(labels: LabelSet, out: Path, split: str) -> None:
    """Write labels as a folder in Ultralytics' layout; the images belong in ``images/SPLIT``.

    Raises:
        DataError: The categories have different keypoints.
    """
    keypoints = list(labels.keypoints.values())
    names = keypoints[0]
    if any(other != names for other in keypoints):
        raise DataError("YOLO has one set of keypoints for all classes, but the categories have different ones.")
    pairs = [entry.get("flip_pairs") for entry in labels.categories.values()]
    data = {
        "path": ".", "train": f"images/{split}", "val": f"images/{split}",
        "names": dict(enumerate(labels.categories)), "kpt_shape": [len(names), 3],
        "flip_idx": list_partners(names, pairs[0]),
        "kpt_names": {number: list(names) for number in range(len(labels.categories))},
    }  # fmt: skip
    write_new(out / "data.yaml", yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    folder = out / "labels" / split
    folder.mkdir(parents=True)
    numbers = {name: number for number, name in enumerate(labels.categories)}
    for name, image in labels.images.items():
        rows = [_encode_person(person, numbers[person.category], image) for person in image.people]
        write_new(folder / f"{strip_suffix(name)}.txt", "".join(" ".join(map(repr, row)) + "\n" for row in rows))


def _find_categories(data: dict[str, Any], options: ReadOptions, notes: list[str]) -> dict[str, dict[str, Any]]:
    """Return the categories with the keypoint names that are given or that data.yaml has, and the flip pairs.

    Without names 17 keypoints are COCO's, and others are numbered; a note says so.

    Raises:
        DataError: There are more or fewer names than ``kpt_shape`` says, or ``flip_idx`` does not exchange keypoints.
    """
    num_keypoints = data["kpt_shape"][0]
    categories = {}
    for number, name in enumerate(data["names"]):
        found = options.choose_keypoints(name, _find_names(data, number))
        if not found:
            flip_idx, own = data.get("flip_idx"), [str(partner) for partner in read_sides(COCO.names).partners]
            is_coco = num_keypoints == len(COCO.names) and (is_empty(flip_idx) or flip_idx == own)
            found = list(COCO.names) if is_coco else [f"keypoint_{index}" for index in range(num_keypoints)]
            assumed = "taken for COCO's" if is_coco else "numbered"
            note = f"data.yaml does not name the {num_keypoints} keypoints: they are {assumed}; --keypoints names them."
            notes += [] if note in notes else [note]
        if len(found) != num_keypoints:
            raise DataError(f"kpt_shape in data.yaml is for {num_keypoints} keypoints, but {len(found)} are named.")
        categories[name] = {"keypoints": found, **_find_flips(data, found)}
    return categories


def _find_flips(data: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Return the ``flip_pairs`` of a category where ``flip_idx`` says something else than the names."""
    given = data.get("flip_idx")
    if is_empty(given):
        return {}
    words = [str(word) for word in given] if isinstance(given, list) else []
    partners = [int(word) if word.isdecimal() and len(word) < 10 else -1 for word in words]
    if sorted(partners) != list(range(len(names))):
        shown = reprlib.repr(given).replace("'", "")
        raise DataError(f"flip_idx in data.yaml must hold each number from 0 to {len(names) - 1} once, not {shown}.")
    sides = read_sides(names)
    if partners == list(sides.partners) and not sides.faults and not sides.doubts:
        return {}
    moved = [(a, b) for a, b in enumerate(partners) if partners[b] != a]
    if moved:
        a, b = moved[0]
        raise DataError(f"flip_idx in data.yaml takes keypoint {a} to {b}, but {b} to {partners[b]}: write pairs.")
    return {"flip_pairs": [[names[a], names[b]] for a, b in enumerate(partners) if a < b]}


def _find_names(data: dict[str, Any], number: int) -> list[str] | None:
    """Return ``kpt_names`` of a class: by its number, in a list of lists, or one list for all.

    The one list may be by the numbers of the keypoints, too.
    """
    held = data.get("kpt_names")
    if isinstance(held, dict) and all(isinstance(name, str) for name in held.values()):
        held = [held.get(str(place)) for place in range(len(held))]
    elif isinstance(held, dict):
        held = held.get(str(number))
    elif isinstance(held, list) and number < len(held) and isinstance(held[number], list):
        held = held[number]
    return held if isinstance(held, list) and all(isinstance(name, str) for name in held) else None


def _read_rows(path: Path, num_values: int, num_classes: int) -> list[list[float]]:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words, place = line.split(), f"{path}, line {number}"
        if not words:
            continue
        if len(words) != num_values:
            raise DataError(f"{place}: {len(words)} numbers, but kpt_shape in data.yaml makes {num_values}.")
        try:
            row = [parse_number(word) for word in words]
            if type(row[0]) is not int:  # 0.0 is read as one
                raise ValueError(words[0])
        except ValueError:
            raise DataError(
                f"{place}: a class number and decimal numbers are needed, not {' '.join(words)[:60]}."
            ) from None
        if not 0 <= row[0] < num_classes:
            raise DataError(f"{place} names a class that data.yaml does not have: it has 0 to {num_classes - 1}.")
        rows.append(row)
    return rows


def _check_fractions(rows_by_stem: Mapping[str, list[list[float]]], labels: Mapping[str, Path]) -> None:
    """Check that the boxes are fractions of the image rather than pixels; a few may leave their image by far.

    Raises:
        DataError: Most boxes are larger than any image.
    """
    are_large = {
        stem: [max(map(abs, row[1:5])) > _LARGEST_FRACTION for row in rows] for stem, rows in rows_by_stem.items()
    }
    num_large, num_rows = sum(map(sum, are_large.values())), sum(map(len, are_large.values()))
    if num_large > num_rows / 2:
        first = next(stem for stem, large in are_large.items() if any(large))
        raise DataError(f"{labels[first]}: boxes are in pixels, but YOLO's coordinates are fractions of the image.")


def _encode_person(person: Person, number: int, image: LabelledImage) -> list[float]:
    assert person.bbox is not None
    (x, y, w, h), width, height = person.bbox, image.width, image.height
    row = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
    for px, py, v in person.points:
        row += [px / width, py / height, v]
    return [number, *(value if type(value) is int else round(value, _FRACTION_DECIMALS) for value in row)]


def _decode_row(row: list[float], names: list[str], size_wh: tuple[int, int], dims: int) -> Person:
    width, height = size_wh
    cx, cy, w, h = row[1] * width, row[2] * height, row[3] * width, row[4] * height
    points = []
    for place in range(5, len(row), dims):
        x, y = row[place], row[place + 1]
        v = row[place + 2] if dims == 3 else 2 * (x != 0 or y != 0)
        points.append((x * width, y * height, v))
    box = [tidy(cx - w / 2), tidy(cy - h / 2), tidy(w), tidy(h)]
    return Person.from_points(names[int(row[0])], box, points)  # type: ignore[arg-type]
