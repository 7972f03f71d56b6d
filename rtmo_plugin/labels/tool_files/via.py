"""VIA, the VGG Image Annotator (version 1 and 2): projects and annotations in JSON or CSV, with points and rectangles.

VIA has no keypoints: the attributes of a region, which the user defines, say what it is. A region is named by an
attribute such as ``keypoint``, ``label`` or ``name``, grouped by one such as ``person`` or ``group_id``, and hidden by
``occluded`` or ``visibility``. VIA does not store the sizes of images, so these are read from the images.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import parse_json, read_text
from rtmo_plugin.labels.grouping import Shape, ShapedImage, gather_people
from rtmo_plugin.labels.image_sizes import find_sizes
from rtmo_plugin.labels.json_values import parse_number
from rtmo_plugin.labels.label_set import LabelSet, ReadOptions, clean_name, describe_left_out

_GROUPS = ("group", "group_id", "person", "person_id", "instance", "instance_id", "object_id", "individual", "track_id")
_POINT_NAMES = ("keypoint", "part", "bodypart", "joint", "landmark", "label", "name", "type", "class", "category")
_BOX_NAMES = ("class", "category", "label", "name", "type")
_HIDDEN = ("occluded", "hidden", "visibility", "visible")
_COLUMNS = ("filename", "region_shape_attributes", "region_attributes")
_ATTRIBUTES = ("shape_attributes", "region_attributes")
_KEYS = {"point": ("cx", "cy"), "rect": ("x", "y", "width", "height")}


class _Region(NamedTuple):
    """Region of an image: what VIA stores about shape and attributes."""

    shape: dict[str, Any]
    attributes: dict[str, str]


def read_via(path: Path, options: ReadOptions) -> LabelSet:
    """Return the labels of a VIA project or export.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It is not a file of VIA 1 or 2, a region is malformed or unnamed, or an image is missing.
    """
    text = read_text(path)
    found = _read_csv(text, path) if path.suffix.lower() == ".csv" else _read_json(text, path)
    places = find_sizes(found, path.parent, options)
    images: dict[str, ShapedImage] = {}
    unused: Counter[str] = Counter()
    for name, regions in found.items():
        origin = f"{path}, image {name}"
        shapes = [
            _read_shape(region, f"{origin}, region {number}")
            for number, region in enumerate(regions, start=1)
            if region.shape.get("name") in _KEYS
        ]
        unused.update(str(region.shape.get("name"))[:40] for region in regions if region.shape.get("name") not in _KEYS)
        file, size = places[name]
        images[file] = ShapedImage(size, [shape for shape in shapes if shape], origin)
    labels = gather_people(images, options)
    return replace(labels, notes=[*labels.notes, *describe_left_out(unused)])


def _read_json(text: str, path: Path) -> dict[str, list[_Region]]:
    """Return the regions of a JSON file by image."""
    data = parse_json(text, str(path))
    images = data.get("_via_img_metadata", data) if isinstance(data, dict) else None
    found: dict[str, list[_Region]] = {}
    for entry in images.values() if isinstance(images, dict) else [None]:
        name = entry.get("filename") if isinstance(entry, dict) else None
        regions = entry.get("regions") if isinstance(entry, dict) else None
        regions = list(regions.values()) if isinstance(regions, dict) else regions  # VIA 1 numbers them
        if not isinstance(name, str) or not isinstance(regions, list):
            raise DataError(f"{path} is not a file of VIA 1 or 2: each image needs filename and regions.")
        if name in found:
            raise DataError(f"{path}: two images are called {name!r}: rename one of them.")
        found[name] = [_make_region(region, f"{path}, image {name}") for region in regions]
    return found


def _read_csv(text: str, path: Path) -> dict[str, list[_Region]]:
    """Return the regions of a CSV file by image; it has a line for each region, or one for an image without any."""
    rows = csv.DictReader(io.StringIO(text))
    missing = [name for name in _COLUMNS if name not in (rows.fieldnames or [])]
    if missing:
        raise DataError(f"{path} is not a CSV file of VIA: it has no column {missing[0]!r}.")
    found: dict[str, list[_Region]] = {}
    for number, row in _number_rows(rows, path):
        origin = f"{path}, line {number}"
        if any(row[name] is None for name in _COLUMNS):
            raise DataError(f"{origin} has fewer columns than the first line.")
        regions = found.setdefault(row["filename"], [])
        shape, attributes = (parse_json(row[name] or "{}", origin) for name in _COLUMNS[1:])
        region = _make_region({"shape_attributes": shape, "region_attributes": attributes}, origin)
        regions += [region] if region.shape else []
    return found


def _number_rows(rows: csv.DictReader[str], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}, is not CSV: {error}.") from None


def _make_region(region: Any, origin: str) -> _Region:
    shape, given = (region.get(key) for key in _ATTRIBUTES) if isinstance(region, dict) else (None, None)
    if not isinstance(shape, dict) or not isinstance(given, dict):
        raise DataError(f"{origin}: a region needs shape_attributes and region_attributes.")
    attributes = {}
    for key, value in given.items():
        chosen = [option for option, is_set in value.items() if is_set] if isinstance(value, dict) else [value]
        attributes[clean_name(str(key)).casefold()] = clean_name(str(chosen[0])) if chosen else ""  # of check boxes
    return _Region(shape, attributes)


def _read_shape(region: _Region, origin: str) -> Shape | None:
    """Return a point or box; None for a point that is not labeled."""
    kind = region.shape["name"]
    try:
        place = [parse_number(str(region.shape[key])) for key in _KEYS[kind]]
    except (KeyError, ValueError):
        raise DataError(f"{origin}: a {kind} needs finite numbers as {', '.join(_KEYS[kind])}.") from None
    group = _choose(region.attributes, _GROUPS)
    if kind == "rect":
        return Shape(_choose(region.attributes, _BOX_NAMES) or "person", place, group or None)
    label = _choose(region.attributes, _POINT_NAMES)
    others = [value for key, value in region.attributes.items() if key not in (*_GROUPS, *_HIDDEN) and value]
    if not label and len(others) != 1:
        has = f"it has {', '.join(region.attributes)}" if region.attributes else "it has none"
        raise DataError(f"{origin}: no attribute names the point ({has}): call that attribute 'keypoint'.")
    visibility = _read_visibility(region.attributes)
    return Shape(label or others[0], place, group or None, visibility) if visibility else None


def _choose(attributes: dict[str, str], names: Iterable[str]) -> str:
    return next((attributes[name] for name in names if attributes.get(name)), "")


def _read_visibility(attributes: dict[str, str]) -> int:
    """Return COCO's visibility; attributes that do not tell it mean 2."""
    for name in ("occluded", "hidden"):
        if attributes.get(name, "").casefold() in ("1", "true", "yes", name):
            return 1
    word = (attributes.get("visibility") or attributes.get("visible") or "").casefold()
    is_number = attributes.get("visibility") == word and word in ("0", "1", "2")
    return int(word) if is_number else 1 if word in ("occluded", "hidden", "no", "false", "0") else 2
