"""LabelMe folders: a JSON file for each image, with points and rectangles as shapes.

A person is a group of shapes with the same ``group_id``: at most one rectangle, labeled with the category, and points,
labeled with the keypoint. Shapes without a group are grouped by place (see ``grouping``). The flag ``occluded`` of a
point is COCO's visibility 1; keypoints without a point are not labeled. Shapes of other types are left out.
"""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import encode_json, parse_json, read_text
from rtmo_plugin.labels.grouping import Shape, ShapedImage, gather_people
from rtmo_plugin.labels.json_values import are_numbers, is_id, read_whole
from rtmo_plugin.labels.label_set import (
    LabelSet,
    ReadOptions,
    clean_name,
    describe_left_out,
    strip_suffix,
    write_new,
)
from rtmo_plugin.media.image_headers import read_header, read_image_size

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
    images: dict[str, ShapedImage] = {}
    unused: Counter[str] = Counter()
    for file, document in documents.items():
        name = str(PurePosixPath(file).parent / _find_name(document))
        if name in images:
            raise DataError(f"{folder / file}: another file is of the image {name}, too.")
        images[name] = _read_shapes(file, document)
        unused.update(shape["shape_type"] for shape in document["shapes"] if shape["shape_type"] not in _USED)
    labels = gather_people(images, options, "group_id")
    notes = describe_left_out(unused)
    if others:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        notes.append(f"Not LabelMe files, and not read: {others[0]}{more}.")
    return replace(labels, notes=[*labels.notes, *notes])


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


def _find_fault(shape: dict[str, Any]) -> str:
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


def _read_shapes(file: str, document: dict[str, Any]) -> ShapedImage:
    """Return the points and rectangles of a document."""
    shapes = []
    for shape in document["shapes"]:
        label, group = clean_name(str(shape.get("label"))), shape.get("group_id")
        if shape["shape_type"] == "point":
            is_occluded = (shape.get("flags") or {}).get("occluded")
            shapes.append(Shape(label, shape["points"][0], group, 1 if is_occluded else 2))
        elif shape["shape_type"] == "rectangle":
            xs, ys = zip(*shape["points"])
            shapes.append(Shape(label, [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)], group))
    return ShapedImage((document["imageWidth"], document["imageHeight"]), shapes, file)


def _draw(kind: str, label: str, points: list[list[float]], group: int, is_occluded: bool = False) -> dict[str, Any]:
    flags = {"occluded": True} if is_occluded else {}
    return {
        "label": label, "points": points, "group_id": group, "description": "", "shape_type": kind, "flags": flags,
    }  # fmt: skip
