"""YOLO pose folders: ``data.yaml`` and ``labels/SPLIT/*.txt``, a line for each person.

Coordinates there are fractions of the image, so its size must be known: from the side file, or from
the pictures.  Crowd regions are left out of the lines, where they would be people.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.keypoint_schemas import COCO
from rtmo_plugin.labels.files import read_text, write_text
from rtmo_plugin.labels.names import swap_side
from rtmo_plugin.labels.person import list_points, make_person, tidy
from rtmo_plugin.labels.tree import Schema, Sizes, Tree, list_schema, make_tree

Documents = dict[str, Any]
_FRACTION_DECIMALS = 15  # survive the way to pixels and back, which ``tidy`` rounds to 10


def read_yolo(folder: Path, split: str) -> Documents:
    """Return ``{"data": data.yaml, "labels": {stem: rows of numbers}}``.

    Raises:
        MissingFileError: There is no data.yaml, or no folder of labels.
        DataError: One of the files is not what it should be; the message names file and line.
    """
    try:
        data = yaml.safe_load(read_text(folder / "data.yaml"))
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" at line {place.line + 1}" if place else ""
        raise DataError(f"{folder / 'data.yaml'} is not YAML{where}.") from None
    if not isinstance(data, dict) or not data.get("names") or not _is_shape(data.get("kpt_shape")):
        raise DataError(f"{folder / 'data.yaml'} needs `names`, and `kpt_shape: [K, 3]` or [K, 2].")
    labels = folder / "labels" / split
    if not labels.is_dir():
        raise MissingFileError(f"There is no folder {labels}: name the split, such as --split val.")
    num_values = 5 + data["kpt_shape"][0] * data["kpt_shape"][1]
    files = sorted(labels.rglob("*.txt"))
    rows = {path.relative_to(labels).with_suffix("").as_posix(): _read_rows(path, num_values) for path in files}
    plain = json.loads(json.dumps({**data, "names": _list_names(data["names"])}, default=str))
    return {"data": plain, "labels": rows}


def write_yolo(folder: Path, split: str, documents: Documents) -> None:
    """Write data.yaml and the label files."""
    data = {**documents["data"], "names": dict(enumerate(documents["data"]["names"]))}
    data = {key: _number_keys(value) for key, value in data.items()}
    write_text(folder / "data.yaml", [yaml.safe_dump(data, sort_keys=False, allow_unicode=True)])
    (folder / "labels" / split).mkdir(parents=True, exist_ok=True)  # also of a split without labels
    for stem, rows in documents["labels"].items():
        write_text(folder / "labels" / split / f"{stem}.txt", (" ".join(map(repr, row)) + "\n" for row in rows))


def encode_yolo(tree: Tree, hint: dict[str, Any]) -> Documents:
    """Return the documents of a tree, without crowds.

    Args:
        tree: What to write.
        hint: ``{"split": "val"}`` names the split; ``"dims": 2`` leaves the visibility out.

    Raises:
        DataError: YOLO cannot hold it: categories with different keypoints, or two images of one stem.
    """
    schema = list_schema(tree)
    names = next(iter(schema.values()), [])
    if any(other != names for other in schema.values()):
        raise DataError("YOLO has one set of keypoints for all classes, but the categories have different ones.")
    dims, numbers = hint.get("dims", 3), {name: number for number, name in enumerate(schema)}
    flips = [names.index(swap_side(name)) if swap_side(name) in names else i for i, name in enumerate(names)]
    data = {
        "path": ".", "train": f"images/{hint['split']}", "val": f"images/{hint['split']}",
        "names": list(schema), "kpt_shape": [len(names), dims], "flip_idx": flips,
        "kpt_names": {str(number): names for number in numbers.values()},
    }  # fmt: skip
    labels: dict[str, Any] = {}
    for name, image in tree["images"].items():
        stem = name.rpartition(".")[0] or name
        if stem in labels:
            raise DataError(f"YOLO and LabelMe name labels like their image: two images are called {stem}.")
        size = image["fields"]["width"], image["fields"]["height"]
        labels[stem] = [_encode_person(person, numbers[person["category"]], size, dims) for person in image["people"]]
    return {"data": data, "labels": labels}


def decode_yolo(documents: Documents, schema: Schema, sizes: Sizes) -> Tree:
    """Return the tree of documents.

    Args:
        documents: What ``read_yolo`` returned.
        schema: Keypoint names by category.
        sizes: (width, height) of every image by file name.

    Raises:
        DataError: A label file belongs to no image, or a line to no category.
    """
    files = {name.rpartition(".")[0] or name: name for name in sizes}
    unknown = [stem for stem in documents["labels"] if stem not in files]
    if unknown:
        raise DataError(f"The size of the image of {unknown[0]}.txt is not known: name the images with --images.")
    categories = documents["data"]["names"]
    images: Tree = {}
    for stem, name in files.items():
        rows = documents["labels"].get(stem, [])
        if any(not 0 <= row[0] < len(categories) for row in rows):
            raise DataError(f"{stem}.txt names a class that data.yaml has not: it has 0 to {len(categories) - 1}.")
        people = [_decode_row(row, categories[row[0]], sizes[name], documents["data"]["kpt_shape"][1]) for row in rows]
        images[name] = {"fields": dict(zip(("width", "height"), sizes[name])), "people": people, "crowds": []}
    return make_tree({name: schema[name] for name in categories}, images)


def find_schema(documents: Documents, names: list[str] | None, known: Schema) -> Schema:
    """Return the keypoint names that data.yaml has, or that are given; 17 are COCO's, and others are numbered.

    Raises:
        DataError: There are more or fewer than ``kpt_shape`` says.
    """
    data, num_keypoints = documents["data"], documents["data"]["kpt_shape"][0]
    numbered = [f"keypoint_{index}" for index in range(num_keypoints)]
    default = names or (list(COCO.names) if num_keypoints == len(COCO.names) else numbered)
    held = data.get("kpt_names") or {}
    schema = {
        name: list(names or held.get(str(number)) or known.get(name) or default)
        for number, name in enumerate(data["names"])
    }
    wrong = [given for given in schema.values() if len(given) != num_keypoints]
    if wrong:
        raise DataError(f"kpt_shape in data.yaml is for {num_keypoints} keypoints, but {len(wrong[0])} are named.")
    return schema


def find_hint(documents: Documents) -> dict[str, Any]:
    """Return how many numbers a keypoint has, where they are not three."""
    dims = documents["data"]["kpt_shape"][1]
    return {"dims": dims} if dims != 3 else {}


def _encode_person(person: dict[str, Any], number: int, size_wh: tuple[int, int], dims: int) -> list[float]:
    (x, y, w, h), (width, height) = person["bbox"], size_wh
    row = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
    values = [round(value, _FRACTION_DECIMALS) for value in row]
    for px, py, v in list_points(person):
        point = round(px / width, _FRACTION_DECIMALS), round(py / height, _FRACTION_DECIMALS), v
        values += point if dims == 3 else point[:2] if v > 0 else (0, 0)
    return [number, *values]


def _decode_row(row: list[float], category: str, size_wh: tuple[int, int], dims: int) -> dict[str, Any]:
    width, height = size_wh
    cx, cy, w, h = row[1] * width, row[2] * height, row[3] * width, row[4] * height
    points = []
    for place in range(5, len(row), dims):
        x, y = row[place] * width, row[place + 1] * height
        v = row[place + 2] if dims == 3 else 2 * (row[place] != 0 or row[place + 1] != 0)
        points.append((x, y, v))
    return make_person(category, [tidy(cx - w / 2), tidy(cy - h / 2), w, h], points)  # type: ignore[arg-type]


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
        return [int(words[0]), *(tidy_text(word) for word in words[1:])]
    except ValueError:
        raise DataError(
            f"{place}: a class number and decimal numbers are needed, not {' '.join(words)[:60]}."
        ) from None


def tidy_text(word: str) -> float:
    """Return the finite number that a word spells, whole where it is.

    Raises:
        ValueError: It spells none.
    """
    value = float(word)
    if value - value != 0:
        raise ValueError(word)
    return int(value) if value.is_integer() else value


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


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and len(shape) == 2 and type(shape[0]) is int and shape[0] > 0 and shape[1] in (2, 3)
