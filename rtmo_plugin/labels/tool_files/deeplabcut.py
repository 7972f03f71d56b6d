"""DeepLabCut's labels: ``CollectedData_NAME.csv`` or ``.h5`` of one video, or a project with those of all its videos.

The columns are named in three or four lines (scorer, individuals, bodyparts, coords); the first one or three columns
are the path of the image. An empty cell is a keypoint that is not labeled. The individual ``single`` has body parts
that occur once in an image, and is a category of its own. The sizes of images are read from the images.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import read_text
from rtmo_plugin.labels.image_sizes import find_sizes
from rtmo_plugin.labels.json_values import parse_number
from rtmo_plugin.labels.label_set import LabeledImage, LabelSet, Person, Point, ReadOptions, clean_name

LEVELS = ("scorer", "individuals", "bodyparts", "coords")
_DEFAULT_CATEGORY, _UNIQUE = "animal", "single"
_FILES = "CollectedData*"

Column = tuple[str, str, str]


class PointTable(NamedTuple):
    """Table of DeepLabCut.

    Attributes:
        columns: Individual (empty in projects with one animal), body part, and ``x`` or ``y`` of each column.
        rows: Numbers of the columns by image path; None for empty cells.
    """

    columns: list[Column]
    rows: dict[str, list[float | None]]


def read_deeplabcut(path: Path, options: ReadOptions) -> LabelSet:
    """Return the labels of a file, or of all videos of a project.

    Raises:
        MissingFileError: A file does not exist, or the folder has none.
        MissingPackageError: A .h5 file needs h5py.
        DataError: A file is not in DeepLabCut's format, or the image of a row is missing.
    """
    from rtmo_plugin.labels.tool_files.pandas_hdf import read_point_table  # which imports this module

    files = _list_files(path) if path.is_dir() else [path]
    is_hdf = {file: file.suffix.lower() in (".h5", ".hdf5") for file in files}
    tables = {file: read_point_table(file) if is_hdf[file] else _read_csv(file) for file in files}
    parts: dict[str, dict[str, None]] = {}  # by category, in the order of the columns
    for table in tables.values():
        for individual, part, _ in table.columns:
            parts.setdefault(_name_category(individual), {})[part] = None
    categories = {name: {"keypoints": options.choose_keypoints(name, list(own))} for name, own in parts.items()}
    images: dict[str, LabeledImage] = {}
    for file, table in tables.items():
        places = find_sizes(table.rows, path if path.is_dir() else path.parent, options)
        for name, row in table.rows.items():
            place, size = places[name]
            if place in images:
                raise DataError(f"{file}: the image {place} is in another file, or twice in this one.")
            images[place] = LabeledImage(*size, _read_people(table.columns, row, categories))
    return LabelSet(categories, images)


def _list_files(folder: Path) -> list[Path]:
    """Return one label file of each folder, .csv before .h5."""
    found: dict[Path, Path] = {}
    for file in sorted(folder.rglob(_FILES)):  # .csv comes first
        if file.suffix in (".csv", ".h5"):
            found.setdefault(file.parent, file)
    if not found:
        raise MissingFileError(f"No label file of DeepLabCut ({_FILES}.csv or .h5) was found in {folder}.")
    return list(found.values())


def _read_csv(file: Path) -> PointTable:
    try:
        rows = list(csv.reader(io.StringIO(read_text(file))))
    except csv.Error as error:
        raise DataError(f"{file} is not CSV: {error}.") from None
    head = {row[0]: row for row in rows[: len(LEVELS)] if row and row[0] in LEVELS}
    if not head.keys() >= {"scorer", "bodyparts", "coords"}:
        raise DataError(f"{file} is not of DeepLabCut: its first lines must be scorer, bodyparts and coords.")
    first = next((index for index, cell in enumerate(head["scorer"]) if index and cell), 1)  # after the path
    names = {level: row[first:] for level, row in head.items()}
    columns = make_columns(names, str(file))
    found: dict[str, list[float | None]] = {}
    for number, row in enumerate(rows[len(head) :], start=len(head) + 1):
        if not any(row):
            continue
        if len(row) != first + len(columns):
            raise DataError(
                f"{file}, line {number}: {len(row)} cells, but the first lines have {first + len(columns)}."
            )
        name = "/".join(part for part in row[:first] if part).replace("\\", "/")
        if name in found:
            raise DataError(f"{file}, line {number}: the image {name} is there twice.")
        try:
            found[name] = [None if cell.strip() in ("", "nan", "NaN") else parse_number(cell) for cell in row[first:]]
        except ValueError as error:
            raise DataError(f"{file}, line {number}: a cell is {str(error)[:60]}, not a finite number.") from None
    return PointTable(columns, found)


def make_columns(names: Mapping[str, list[str]], file: str) -> list[Column]:
    """Return individual, body part and coordinate of each column.

    Args:
        names: Names of the columns by level.
        file: Name of the file for messages.

    Raises:
        DataError: A column is neither ``x`` nor ``y``, or is there twice.
    """
    parts = [clean_name(name) for name in names["bodyparts"]]
    individuals = names.get("individuals") or [""] * len(parts)
    columns = list(zip(individuals, parts, names["coords"]))
    others = sorted({coordinate for _, _, coordinate in columns if coordinate not in ("x", "y")})
    if others:
        advice = "; it holds predictions: name a CollectedData file" if others == ["likelihood"] else ""
        raise DataError(f"{file} has columns {others[0]!r} besides x and y{advice}.")
    if len(set(columns)) != len(columns) or len(columns) != 2 * len({column[:2] for column in columns}):
        raise DataError(f"{file} must have each body part of an individual once as x and once as y.")
    return columns


def _name_category(individual: str) -> str:
    return _UNIQUE if individual == _UNIQUE else _DEFAULT_CATEGORY


def _read_people(
    columns: list[Column], row: list[float | None], categories: dict[str, dict[str, list[str]]]
) -> list[Person]:
    """Return the individuals of an image that have a labeled body part."""
    cells = dict(zip(columns, row))
    people = []
    for individual in dict.fromkeys(column[0] for column in columns):
        category = _name_category(individual)
        points: list[Point] = []
        for part in categories[category]["keypoints"]:
            x, y = (cells.get((individual, part, coordinate)) for coordinate in ("x", "y"))
            points.append((0, 0, 0) if x is None or y is None else (x, y, 2))
        if any(point[2] for point in points):
            people.append(Person.from_points(category, None, points))
    return people
