"""YOLO pose folders: data.yaml, and a text file for each image with a line for each person.

Coordinates are fractions of the image, so its size must be known. The images and labels of a split may be at

    ROOT/images/train, ROOT/labels/train    Ultralytics and CVAT
    ROOT/train/images, ROOT/train/labels    Roboflow, whose split ``val`` is in ``valid``
    ROOT/images, ROOT/labels                no splits

data.yaml names the images: a folder, a text file that lists them, or several folders. The folder of the labels has
``labels`` in place of the last ``images`` of that path; without ``images`` labels are beside the images.
"""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import read_text
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.keypoints.sides import read_sides
from rtmo_plugin.labels.categories import list_partners
from rtmo_plugin.labels.image_inspection import find_image_files
from rtmo_plugin.labels.json_values import parse_number
from rtmo_plugin.labels.label_set import LabeledImage, LabelSet, Person, ReadOptions, strip_suffix, tidy, write_new
from rtmo_plugin.media.image_headers import read_image_size

_FRACTION_DECIMALS = 15  # enough for the way to pixels and back, where ``tidy`` rounds to 10
_LARGEST_FRACTION = 2.0  # of a box that leaves the image; larger numbers are pixels
_MAX_YAML_BYTES = 2 * 10**6  # of data.yaml; a larger file would take a minute to parse
_LAYOUTS = ("labels/{split}", "{split}/labels")
_NO_LABELS = ("classes.txt", "labels.txt")  # lists of classes that other tools write among the labels
_SAME_SPLIT = {"val": "valid", "valid": "val"}


def read_yolo(source: Path, options: ReadOptions) -> LabelSet:
    """Return the labels of one split.

    Args:
        source: Folder, or its data.yaml.
        options: _Split, folder of the images and keypoint names.

    Raises:
        MissingFileError: The data.yaml or the folder of labels does not exist.
        DataError: A file is malformed, or an image is missing or cannot be read; the message names file and
            line.
    """
    folder, data = _read_yaml(source)
    place = _find_split(folder, data, options.split)
    num_keypoints, dims = data["kpt_shape"]
    notes: list[str] = []
    categories = _find_categories(data, options, notes)
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
            f"The size of the image of {unknown[0]}.txt is not known, as the image is missing in "
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
    images: dict[str, LabeledImage] = {}
    for stem, name in files.items():
        people = [_decode_row(row, names, sizes[name], dims) for row in rows_by_stem.get(stem, [])]
        images[name] = LabeledImage(*sizes[name], people)
    return LabelSet(categories, images, notes)


def write_yolo(labels: LabelSet, out: Path, split: str) -> None:
    """Write labels as a folder in Ultralytics' layout; the images belong in ``images/SPLIT``.

    Raises:
        DataError: The categories have different keypoints.
    """
    keypoints = list(labels.keypoints.values())
    names = keypoints[0]
    if any(other != names for other in keypoints):
        raise DataError(
            "YOLO has one set of keypoints for all classes, but the categories have different ones: join them by "
            "`rtmo dataset merge`."
        )
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
    """Return the categories with flip pairs and with the given keypoint names, or those of data.yaml.

    Without names, 17 keypoints are taken for COCO's and others are numbered; a note says so.

    Raises:
        DataError: The number of names is not that of ``kpt_shape``, or ``flip_idx`` does not exchange pairs.
    """
    num_keypoints = data["kpt_shape"][0]
    categories = {}
    for number, name in enumerate(data["names"]):
        found = options.choose_keypoints(name, _find_keypoint_names(data, number))
        if not found:
            flip_idx, own = data.get("flip_idx"), [str(partner) for partner in read_sides(COCO.names).partners]
            is_coco = num_keypoints == len(COCO.names) and (_is_empty(flip_idx) or flip_idx == own)
            found = list(COCO.names) if is_coco else [f"keypoint_{index}" for index in range(num_keypoints)]
            assumed = "taken for COCO's" if is_coco else "numbered"
            note = f"data.yaml does not name the {num_keypoints} keypoints: they are {assumed}; --keypoints names them."
            notes += [] if note in notes else [note]
        if len(found) != num_keypoints:
            raise DataError(f"kpt_shape in data.yaml is for {num_keypoints} keypoints, but {len(found)} are named.")
        categories[name] = {"keypoints": found, **_find_flips(data, found)}
    return categories


def _find_flips(data: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Return the ``flip_pairs`` of a category if ``flip_idx`` differs from the flips that the names imply."""
    given = data.get("flip_idx")
    if _is_empty(given):
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


def _find_keypoint_names(data: dict[str, Any], number: int) -> list[str] | None:
    """Return the ``kpt_names`` of a class: by its number, in a list of lists, or one list for all classes.

    The one list may also be a mapping from the numbers of the keypoints.
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
    """Check that the boxes are fractions of the image and not pixels; a few boxes may extend far beyond their image.

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


def _encode_person(person: Person, number: int, image: LabeledImage) -> list[float]:
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


@dataclass(frozen=True)
class _Split:
    """Folders of the images and labels of a split.

    Attributes:
        root: Folder of the data set.
        images: Folder that the names of images are relative to; it need not exist.
        labels: Folder of their labels.
        listing: Text file that lists the images, if one does.
        chosen: Stems and folders below ``images`` that belong to the split. None: all of them.
    """

    root: Path
    images: Path
    labels: Path
    listing: Path | None = None
    chosen: frozenset[str] | None = None

    def has(self, stem: str) -> bool:
        """Whether the image with this stem belongs to the split."""
        parents = (parent.as_posix() for parent in Path(stem).parents)
        return self.chosen is None or not self.chosen.isdisjoint([stem, *parents])

    def list_missing(self, stems: Container[str]) -> list[str]:
        """Return the stems of listed images that are not among ``stems``."""
        return [] if self.listing is None else sorted(stem for stem in self.chosen or () if stem not in stems)

    def list_labels(self, stems: Container[str]) -> dict[str, Path]:
        """Return the label files by the stem of their image.

        Args:
            stems: Stems of the images. They tell a label file from a list of classes with the same name.
        """
        files = [path for path in sorted(self.labels.rglob("*.txt")) if path != self.listing]
        named = {strip_suffix(path.relative_to(self.labels).as_posix()): path for path in files}
        return {
            stem: path
            for stem, path in named.items()
            if self.has(stem) and (stem in stems or path.name not in _NO_LABELS)
        }


def _read_yaml(source: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a data.yaml and what it holds.

    Args:
        source: Folder, or YAML file of any name.

    Raises:
        MissingFileError: The file does not exist.
        DataError: The file is not valid YAML, or not of a pose data set.
    """
    path = source
    if not source.is_file():  # data.yaml, or else the only YAML file in the folder
        others = [each for each in sorted(source.glob("*.y*ml")) if each.suffix in (".yaml", ".yml")]
        usual = source / "data.yaml"
        path = usual if usual in others or len(others) != 1 else others[0]
    data = _parse_yaml(read_text(path, _MAX_YAML_BYTES), str(path))
    names, shape = (data.get("names"), data.get("kpt_shape")) if isinstance(data, dict) else (None, None)
    shape = shape if isinstance(shape, list) else []
    is_shape = len(shape) == 2 and re.fullmatch("[1-9][0-9]{0,3},[23]", ",".join(map(str, shape)))
    if not names or not isinstance(names, (list, dict)) or not is_shape:
        raise DataError(f"{path} needs `names`, and `kpt_shape: [K, 3]` or [K, 2].")
    return path.parent, {**data, "names": _read_class_names(data["names"]), "kpt_shape": [int(n) for n in shape]}


def _parse_yaml(text: str, name: str) -> Any:
    """Return the content of a YAML text, with all scalars as text: ``no`` is a word, not a Boolean.

    Raises:
        DataError: ``text`` is not valid YAML, has aliases or is nested too deeply; the message calls it ``name``.
    """
    try:
        return yaml.load(text, _PlainLoader)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" at line {place.line + 1}" if place else ""
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise DataError(f"{name} is not YAML{where}: {reason}.") from None
    except RecursionError:
        raise DataError(f"{name} is nested too deeply.") from None


def _is_empty(value: Any) -> bool:
    """Whether a value of ``parse_yaml`` is missing, empty or YAML's null."""
    return value in (None, "", "~", "null", "Null", "NULL", [], {})


class _PlainLoader(yaml.BaseLoader):
    """Loads text, lists and dicts. Aliases are refused, because nested ones can fill any memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not read", problem_mark=mark)
        return super().compose_node(parent, index)


def _find_split(folder: Path, data: dict[str, Any], split: str) -> _Split:
    """Return the folders of a split: those of data.yaml, else those of the usual layouts.

    Raises:
        MissingFileError: The split is in none of the folders, which the message names.
        DataError: A list of images is empty.
    """
    names = [name for name in (split, _SAME_SPLIT.get(split)) if name]
    own = data.get("path")
    roots = list(dict.fromkeys((folder / (own if isinstance(own, str) and not _is_empty(own) else ""), folder)))
    entries = [data[name] for name in names if not _is_empty(data.get(name))]
    tried = [_read_entry(root, entry) for root in roots for entry in entries]
    usual = [folder / pattern.format(split=name) for name in names for pattern in _LAYOUTS]
    tried += [_Split(folder, _swap_last(labels, "labels", "images"), labels) for labels in usual]
    found = [place for place in tried if place.labels.is_dir()]
    if not found:
        places = ", ".join(dict.fromkeys(os.path.normpath(place.labels) for place in tried))
        raise MissingFileError(
            f"Labels of the split {split!r} were not found (looked in {places}): name another, such as --split val."
        )
    return found[0]


def _read_entry(root: Path, entry: Any) -> _Split:
    """Return the split that one entry of data.yaml means, below a root."""
    entries = entry if isinstance(entry, list) else [entry]
    if not all(isinstance(each, str) for each in entries):
        raise DataError("A split in data.yaml must be a folder, a list of folders or a list of images (.txt).")
    places = []
    for each in entries:
        path, inner = (Path(os.path.abspath(root / name)) for name in (each, each.removeprefix("../")))
        # Roboflow writes ../train/images and means train/images.
        places.append(inner if not _swap_last(path, "images", "labels").exists() else path)
    if len(places) == 1 and places[0].suffix == ".txt":
        return _read_listing(root, places[0])
    images = Path(os.path.commonpath(places))
    inner = images / "images"  # images are looked for below a folder, too
    if "images" not in images.parts and (inner.is_dir() or (images / "labels").is_dir()):
        images = inner
    chosen = frozenset(place.relative_to(images).as_posix() for place in places) if len(places) > 1 else None
    return _Split(root, images, _swap_last(images, "images", "labels"), chosen=chosen)


def _read_listing(root: Path, listing: Path) -> _Split:
    """Return the split of a list of images, which may come from another machine.

    A path that begins with a dot is relative to the list. A path that does not exist stands for its longest end that
    is a file below the root.
    """
    if not listing.is_file():
        return _Split(root, listing, listing)
    lines = [line.strip().replace("\\", "/") for line in read_text(listing).splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{listing} lists no images.")
    paths = []
    for line in lines:
        path = Path(os.path.abspath((listing.parent if line.startswith(".") else root) / line))
        parts = PurePosixPath(line).parts if not path.is_file() else ()
        ends = (Path(os.path.abspath(root.joinpath(*parts[start:]))) for start in range(1, len(parts)))
        paths.append(next((end for end in ends if end.is_file()), path))
    images = Path(os.path.commonpath([path.parent for path in paths]))
    chosen = frozenset(path.relative_to(images).with_suffix("").as_posix() for path in paths)
    return _Split(root, images, _swap_last(images, "images", "labels"), listing, chosen)


def _swap_last(path: Path, old: str, new: str) -> Path:
    """Return a path with its last part that is ``old`` replaced."""
    if old not in path.parts:
        return path
    place = len(path.parts) - 1 - path.parts[::-1].index(old)
    return Path(*path.parts[:place], new, *path.parts[place + 1 :])


def _read_class_names(names: Any) -> list[str]:
    """Return the class names, given as a list or by number."""
    if isinstance(names, dict):
        if sorted(names) != sorted(str(number) for number in range(len(names))):
            raise DataError(f"`names` in data.yaml must number the classes from 0, not {list(names)[:10]}.")
        names = [names[str(number)] for number in range(len(names))]
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong or len(set(names)) < len(names):
        fault = f"{reprlib.repr(wrong[0])} is not one" if wrong else "one is there twice"
        raise DataError(f"`names` in data.yaml must be different names of classes: {fault}.")
    return list(names)
