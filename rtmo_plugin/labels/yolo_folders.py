"""Where a YOLO folder keeps the images and the labels of a split.

    ROOT/images/train, ROOT/labels/train    Ultralytics and CVAT
    ROOT/train/images, ROOT/train/labels    Roboflow, whose split ``val`` lies in ``valid``
    ROOT/images, ROOT/labels                no splits

data.yaml names the images: a folder, a text file that lists them, or several folders.  Labels are where
the last ``images`` of a path reads ``labels``, and beside the images where there is none.
"""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import read_text
from rtmo_plugin.labels.label_set import strip_suffix

USUAL = "labels/{split}"
MAX_YAML_BYTES = 2 * 10**6  # of data.yaml; more would take a minute to parse
_ROBOFLOW = "{split}/labels"
_NO_LABELS = ("classes.txt", "labels.txt")  # lists of classes, which other tools leave among the labels
_SAME_SPLIT = {"val": "valid", "valid": "val"}


@dataclass(frozen=True)
class Split:
    """Where the images and labels of a split are.

    Attributes:
        root: Folder of the data set.
        images: Folder that the names of images are relative to; it need not be there.
        labels: Folder of their labels.
        listing: Text file that lists the images, if one does.
        chosen: Stems and folders below ``images`` that belong to the split, where not all do.
    """

    root: Path
    images: Path
    labels: Path
    listing: Path | None = None
    chosen: frozenset[str] | None = None

    def has(self, stem: str) -> bool:
        """Whether the image of a stem belongs to the split."""
        parents = (parent.as_posix() for parent in Path(stem).parents)
        return self.chosen is None or not self.chosen.isdisjoint([stem, *parents])

    def list_missing(self, stems: Container[str]) -> list[str]:
        """Return the listed images that are not among the images with these stems."""
        return [] if self.listing is None else sorted(stem for stem in self.chosen or () if stem not in stems)

    def list_labels(self, stems: Container[str]) -> dict[str, Path]:
        """Return the label files by the stem of their image.

        Args:
            stems: Stems of the images, which tell a label file from a list of classes of the same name.
        """
        files = [path for path in sorted(self.labels.rglob("*.txt")) if path != self.listing]
        named = {strip_suffix(path.relative_to(self.labels).as_posix()): path for path in files}
        return {
            stem: path
            for stem, path in named.items()
            if self.has(stem) and (stem in stems or path.name not in _NO_LABELS)
        }


def read_yaml(source: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a data.yaml and what it holds.

    Args:
        source: Folder, or YAML file of any name.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It is not YAML, or not of a pose data set.
    """
    path = source
    if not source.is_file():  # data.yaml, or else the only YAML file in the folder
        others = [each for each in sorted(source.glob("*.y*ml")) if each.suffix in (".yaml", ".yml")]
        usual = source / "data.yaml"
        path = usual if usual in others or len(others) != 1 else others[0]
    data = parse_yaml(read_text(path, MAX_YAML_BYTES), str(path))
    names = data.get("names") if isinstance(data, dict) else None
    if not names or not isinstance(names, (list, dict)) or not _is_shape(data.get("kpt_shape")):
        raise DataError(f"{path} needs `names`, and `kpt_shape: [K, 3]` or [K, 2].")
    return path.parent, {**data, "names": _list_names(data["names"]), "kpt_shape": [int(n) for n in data["kpt_shape"]]}


def parse_yaml(text: str, name: str) -> Any:
    """Return what a YAML text holds, with all scalars as text: ``no`` is a word, not a truth value.

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


def is_empty(value: Any) -> bool:
    """Whether a value of ``parse_yaml`` is missing, empty or YAML's null."""
    return value in (None, "", "~", "null", "Null", "NULL", [], {})


class _PlainLoader(yaml.BaseLoader):
    """Loads text, lists and dicts. An alias is refused: some that hold one another fill any memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not read", problem_mark=mark)
        return super().compose_node(parent, index)


def find_split(folder: Path, data: dict[str, Any], split: str) -> Split:
    """Return where a split is: as data.yaml says, else where the usual layouts have it.

    Raises:
        MissingFileError: No folder has the split; the message names the places.
        DataError: A list of images is empty.
    """
    names = [name for name in (split, _SAME_SPLIT.get(split)) if name]
    own = data.get("path")
    roots = list(dict.fromkeys((folder / (own if isinstance(own, str) and not is_empty(own) else ""), folder)))
    entries = [data[name] for name in names if not is_empty(data.get(name))]
    tried = [_read_entry(root, entry) for root in roots for entry in entries]
    usual = [folder / pattern.format(split=name) for name in names for pattern in (USUAL, _ROBOFLOW)]
    tried += [Split(folder, _swap_last(labels, "labels", "images"), labels) for labels in usual]
    found = [place for place in tried if place.labels.is_dir()]
    if not found:
        places = ", ".join(dict.fromkeys(os.path.normpath(place.labels) for place in tried))
        raise MissingFileError(
            f"There are no labels of the split {split!r} (looked in {places}): name another, such as --split val."
        )
    return found[0]


def _read_entry(root: Path, entry: Any) -> Split:
    """Return the split that one entry of data.yaml means, below a root."""
    entries = entry if isinstance(entry, list) else [entry]
    if not all(isinstance(each, str) for each in entries):
        raise DataError("A split in data.yaml must be a folder, a list of folders or a list of images (.txt).")
    places = [_place(root, each) for each in entries]
    if len(places) == 1 and places[0].suffix == ".txt":
        return _read_listing(root, places[0])
    images = Path(os.path.commonpath(places))
    inner = images / "images"  # images are looked for below a folder, too
    if "images" not in images.parts and (inner.is_dir() or (images / "labels").is_dir()):
        images = inner
    chosen = frozenset(place.relative_to(images).as_posix() for place in places) if len(places) > 1 else None
    return Split(root, images, _swap_last(images, "images", "labels"), chosen=chosen)


def _place(root: Path, name: str) -> Path:
    """Return the path of an entry; Roboflow writes ``../train/images`` and means ``train/images``."""
    path = Path(os.path.abspath(root / name))
    inner = Path(os.path.abspath(root / name.removeprefix("../")))
    return inner if inner != path and not _swap_last(path, "images", "labels").exists() else path


def _read_listing(root: Path, listing: Path) -> Split:
    """Return the split of a list of images, which may come from another machine.

    Paths that begin with a dot are relative to the list.  Of those that lead nowhere the longest end
    that is a file below the root is taken.
    """
    if not listing.is_file():
        return Split(root, listing, listing)
    lines = [line.strip().replace("\\", "/") for line in read_text(listing).splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{listing} lists no images.")
    paths = [_find_listed(root, listing.parent if line.startswith(".") else root, line) for line in lines]
    images = Path(os.path.commonpath([path.parent for path in paths]))
    chosen = frozenset(path.relative_to(images).with_suffix("").as_posix() for path in paths)
    return Split(root, images, _swap_last(images, "images", "labels"), listing, chosen)


def _find_listed(root: Path, base: Path, line: str) -> Path:
    parts = PurePosixPath(line).parts
    ends = (Path(os.path.abspath(root.joinpath(*parts[start:]))) for start in range(1, len(parts)))
    path = Path(os.path.abspath(base / line))
    return path if path.is_file() else next((end for end in ends if end.is_file()), path)


def _swap_last(path: Path, old: str, new: str) -> Path:
    """Return a path with its last part that is ``old`` replaced."""
    parts = list(path.parts)
    places: Iterator[int] = (place for place in reversed(range(len(parts))) if parts[place] == old)
    place = next(places, None)
    return path if place is None else Path(*parts[:place], new, *parts[place + 1 :])


def _is_shape(shape: Any) -> bool:
    if not isinstance(shape, list) or len(shape) != 2:
        return False
    return all(isinstance(n, str) and re.fullmatch("[1-9][0-9]{0,3}", n) for n in shape) and shape[1] in ("2", "3")


def _list_names(names: Any) -> list[str]:
    """Return the class names, which YAML holds as a list or by number."""
    if isinstance(names, dict):
        if sorted(names) != sorted(str(number) for number in range(len(names))):
            raise DataError(f"`names` in data.yaml must number the classes from 0, not {list(names)[:10]}.")
        names = [names[str(number)] for number in range(len(names))]
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong or len(set(names)) < len(names):
        fault = f"{reprlib.repr(wrong[0])} is not one" if wrong else "one is there twice"
        raise DataError(f"`names` in data.yaml must be different names of classes: {fault}.")
    return list(names)
