"""LabelMe folders: a JSON file for each image, with points and rectangles as shapes.

A person is a group of shapes with the same ``group_id``: at most one rectangle, labeled with the category, and points,
labeled with the keypoint. The flag ``occluded`` of a point is COCO's visibility 1; keypoints without a point are not
labeled. Shapes of other types are left out.
"""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import encode_json, parse_json, read_text
from rtmo_plugin.labels.json_values import are_numbers, is_id, read_whole
from rtmo_plugin.labels.label_set import (
    LabeledImage,
    LabelSet,
    Person,
    Point,
    ReadOptions,
    clean_name,
    describe_left_out,
    strip_suffix,
    write_new,
)
from rtmo_plugin.media.image_headers import read_header, read_image_size

Shape = dict[str, Any]
_DEFAULT_CATEGORY = "person"
_KEYS = ("shapes", "imagePath", "imageWidth", "imageHeight")
_USED = ("point", "rectangle")


def read_labelme(folder: Path, options: ReadOptions) -> LabelSet:
    """Return the labels of a LabelMe folder, without hidden files and other JSON files.

    Raises:
        MissingFileError: The folder has no LabelMe file.
        DataError: A file is damaged, is not named like its image, or mixes its people; two files have the same
            image; or keypoint names differ only in upper and lower case.
    """
    documents, others = _read_documents(folder)
    if not documents:
        found = f": {others[0]} is not one" if others else ""
        raise MissingFileError(f"No LabelMe file (*.json) was found in {folder}{found}.")
    people_by_file = {file: _group_shapes(file, document["shapes"]) for file, document in documents.items()}
    keypoints = _find_keypoints([group for groups in people_by_file.values() for group in groups.values()], options)
    images: dict[str, LabeledImage] = {}
    unused: Counter[str] = Counter()
    for file, document in documents.items():
        name = str(PurePosixPath(file).parent / _find_name(document))
        if name in images:
            raise DataError(f"{folder / file}: another file is of the image {name}, too.")
        groups = people_by_file[file].items()
        people = [_read_person(file, group, shapes, keypoints) for group, shapes in groups]
        images[name] = LabeledImage(document["imageWidth"], document["imageHeight"], people)
        unused.update(shape["shape_type"] for shape in document["shapes"] if shape["shape_type"] not in _USED)
    notes = describe_left_out(unused)
    if others:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        notes.append(f"Not LabelMe files, and not read: {others[0]}{more}.")
    return LabelSet({name: {"keypoints": names} for name, names in keypoints.items()}, images, notes)


def write_labelme(labels: LabelSet, out: Path, split: str) -> None:
    """Write labels as a LabelMe folder."""
    for name, image in labels.images.items():
        shapes = []
        for group, person in enumerate(image.people):
            assert person.bbox is not None
            x, y, width, height = person.bbox
            shapes.append(_draw("rectangle", person.category, [[x, y], [x + width, y + height]], group))
            names = labels.categories[person.category]["keypoints"]
            for label, (px, py, v) in zip(names, person.points):
                if v > 0:
                    shapes.append(_draw("point", label, [[px, py]], group, is_occluded=v == 1))
        document: dict[str, Any] = {
            "version": "5.0.0", "flags": {}, "shapes": shapes, "imagePath": PurePosixPath(name).name,
            "imageData": None, "imageHeight": image.height, "imageWidth": image.width,
        }  # fmt: skip
        path = out / f"{strip_suffix(name)}.json"
        write_new(path, encode_json(document, str(path), indent=2))


def _read_documents(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return LabelMe documents by their path below the folder, and the names of other JSON files."""
    documents: dict[str, Any] = {}
    others: list[str] = []
    for path in sorted(folder.rglob("*.json")):
        file = path.relative_to(folder)
        if path.is_dir() or any(part.startswith(".") for part in file.parts):
            continue
        text = read_text(path)
        try:
            document = parse_json(text, str(path))
        except DataError:  # a damaged LabelMe file must not be skipped
            is_whole = text.rstrip().endswith(("}", "]"))  # with comments, say
            if not is_whole or any(f'"{key}"' in text for key in (*_KEYS, "version")):
                raise
            document = None
        if not isinstance(document, dict) or not (isinstance(document.get("shapes"), list) or "imagePath" in document):
            others.append(file.as_posix())
            continue
        document = _complete_document(path, document)
        _check_document(path, document)
        documents[file.as_posix()] = document
    return documents, others


def _complete_document(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Return a document in the form of LabelMe 5, from files of older versions and other programs.

    Completed are the type of a shape, numbers such as 1.0, and the image size, which is read from the image.
    """
    completed = dict(document)
    if isinstance(document.get("shapes"), list):
        completed["shapes"] = [_complete_shape(shape) for shape in document["shapes"]]
    sizes = [read_whole(document.get(key)) for key in ("imageWidth", "imageHeight")]
    if None in sizes and isinstance(document.get("imagePath"), str):
        sizes = list(_read_size(path, document) or sizes)
    completed.update({key: size for key, size in zip(("imageWidth", "imageHeight"), sizes) if size is not None})
    return completed


def _complete_shape(shape: Any) -> Any:
    if not isinstance(shape, dict):
        return shape
    group, points = shape.get("group_id"), shape.get("points")
    kind = "point" if isinstance(points, list) and len(points) == 1 else "polygon"
    whole = read_whole(group) if isinstance(group, float) else None
    return {"shape_type": kind, **shape, "group_id": group if whole is None else whole}


def _read_size(path: Path, document: dict[str, Any]) -> tuple[int, int] | None:
    """Return width and height of the image beside a document, or inside it."""
    image = path.parent / document["imagePath"].replace("\\", "/")
    if image.is_file():
        return read_image_size(image)
    try:
        content = base64.b64decode(document.get("imageData") or "", validate=True)
    except (ValueError, TypeError):  # not base64, or not text
        return None
    return read_header(content, f"The image in {path}").size_wh if content else None


def _check_document(path: Path, document: dict[str, Any]) -> None:
    is_whole = (
        isinstance(document.get("imagePath"), str)
        and isinstance(document.get("shapes"), list)
        and all(is_id(document.get(key)) and document[key] > 0 for key in ("imageWidth", "imageHeight"))
    )
    if not is_whole:
        raise DataError(
            f"{path} is not a whole LabelMe file: it needs {', '.join(_KEYS)}; without a size, the image beside it."
        )
    for number, shape in enumerate(document["shapes"]):
        if not isinstance(shape, dict) or not isinstance(shape.get("shape_type"), str):
            raise DataError(f"{path}: shapes[{number}] needs a shape_type.")
        fault = _find_fault(shape) if shape["shape_type"] in _USED else ""
        if fault:
            raise DataError(f"{path}: shapes[{number}] {fault}.")
    if PurePosixPath(_find_name(document)).stem != path.stem:
        raise DataError(f"{path} is of the image {_find_name(document)}: give both the same name.")


def _find_fault(shape: Shape) -> str:
    """Return what is wrong with a point or rectangle, or nothing."""
    points, group = shape.get("points"), shape.get("group_id")
    if not isinstance(shape.get("label"), str) or not clean_name(shape["label"]):
        return "needs a label"
    is_drawn = isinstance(points, list) and bool(points) and all(are_numbers(point, 2) for point in points)
    if is_drawn and shape["shape_type"] == "point" and len(points) > 1:  # type: ignore[arg-type]
        return f"({shape['label']!r}) is a point with {len(points)} places"  # type: ignore[arg-type]
    if not is_drawn or (shape["shape_type"] == "rectangle" and len(points) < 2):  # type: ignore[arg-type]
        return f"({shape['label']!r}) needs points of two finite numbers"
    if group is not None and not is_id(group) and not isinstance(group, str):
        return f"({shape['label']!r}) needs a whole number as group_id, not {str(group)[:60]}"
    if not isinstance(shape.get("flags") or {}, dict):
        return f"({shape['label']!r}) needs an object as flags"
    return ""


def _find_name(document: dict[str, Any]) -> str:
    return PurePosixPath(document["imagePath"].replace("\\", "/")).name


def _group_shapes(file: str, shapes: list[Shape]) -> dict[Any, list[Shape]]:
    """Return points and rectangles by person; shapes without a group belong to one person.

    Raises:
        DataError: A person has two rectangles, or a point twice.
    """
    groups: dict[Any, list[Shape]] = defaultdict(list)
    for shape in shapes:
        if shape["shape_type"] in _USED:
            groups[shape.get("group_id")].append({**shape, "label": clean_name(shape["label"])})
    for group, members in groups.items():
        keys = Counter((shape["shape_type"] == "rectangle") or shape["label"] for shape in members)
        repeated = [shape for shape in members if keys[(shape["shape_type"] == "rectangle") or shape["label"]] > 1]
        if repeated:
            word = f"{repeated[0]['shape_type']} {repeated[0]['label']!r}"
            raise DataError(f"{file}: group_id {group!r} has {word} more than once: give each person a group_id.")
    return groups


def _find_keypoints(people: list[list[Shape]], options: ReadOptions) -> dict[str, list[str]]:
    """Return the keypoint names by category, in the order of the points.

    Categories that share a keypoint share all of them. A person without a rectangle is of the first category.

    Raises:
        DataError: Two names differ only in upper and lower case, and no names were given.
    """
    boxes = [[shape["label"] for shape in shapes if shape["shape_type"] == "rectangle"] for shapes in people]
    points = [[shape["label"] for shape in shapes if shape["shape_type"] == "point"] for shapes in people]
    given = list(options.keypoints) if not isinstance(options.keypoints, (list, type(None))) else []
    categories = list(dict.fromkeys([*given, *(label for labels in boxes for label in labels)])) or [_DEFAULT_CATEGORY]
    found: dict[str, list[str]] = {category: [] for category in categories}
    for labels, names in zip(boxes, points):
        category = labels[0] if labels else categories[0]
        found[category] = list(dict.fromkeys([*found[category], *names]))
    shared = {}
    for category, names in found.items():
        alike = [other for other in found.values() if not names or not set(names).isdisjoint(other)]
        shared[category] = list(dict.fromkeys(name for other in alike for name in other))
    if options.keypoints is None:
        spellings: dict[str, str] = {}
        for name in dict.fromkeys(name for names in shared.values() for name in names):
            first = spellings.setdefault(name.casefold(), name)
            if first != name:
                raise DataError(
                    f"The points {first!r} and {name!r} differ only in upper and lower case: "
                    "give both one name, or name the keypoints with --keypoints."
                )
    return {category: options.choose_keypoints(category, names) for category, names in shared.items()}


def _read_person(file: str, group: Any, shapes: list[Shape], keypoints: dict[str, list[str]]) -> Person:
    boxes = [shape for shape in shapes if shape["shape_type"] == "rectangle"]
    points: dict[str, Point] = {}
    for shape in shapes:
        if shape["shape_type"] == "point":
            x, y = shape["points"][0]
            points[shape["label"]] = x, y, 1 if (shape.get("flags") or {}).get("occluded") else 2
    category = boxes[0]["label"] if boxes else next(iter(keypoints))
    unknown = [label for label in points if label not in keypoints[category]]
    if unknown:
        raise DataError(f"{file}: the point {unknown[0]!r} is not one of the keypoints of {category!r}.")
    box = None
    if boxes:
        xs, ys = zip(*boxes[0]["points"])
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    ordered = [points.get(name, (0, 0, 0)) for name in keypoints[category]]
    return Person.from_points(category, box, ordered, group if is_id(group) else None)


def _draw(kind: str, label: str, points: list[list[float]], group: int, is_occluded: bool = False) -> Shape:
    flags = {"occluded": True} if is_occluded else {}
    return {
        "label": label, "points": points, "group_id": group, "description": "", "shape_type": kind, "flags": flags,
    }  # fmt: skip
