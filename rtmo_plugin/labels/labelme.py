"""LabelMe folders: a JSON file for each image, with points and rectangles as shapes.

A person is what has one ``group_id``: at most one rectangle, labelled with the category, and points,
labelled with the keypoint.  The flag ``occluded`` of a point is COCO's visibility 1; keypoints
without a point are not labelled.  Shapes of other types are kept aside.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from pathlib import Path, PurePosixPath
from typing import Any

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import read_json, write_json
from rtmo_plugin.labels.numbers import are_numbers, is_id
from rtmo_plugin.labels.person import list_points, make_person, needs_box, number_groups
from rtmo_plugin.labels.pictures import strip_suffix
from rtmo_plugin.labels.tree import Schema, Sizes, Tree, list_schema, make_tree

Documents = dict[str, Any]
Shape = dict[str, Any]
SIDE_NAME = "coco_side.json"
_DEFAULT_CATEGORY = "person"


def read_labelme(folder: Path) -> Documents:
    """Return the LabelMe documents of a folder by their path below it, without suffix.

    Raises:
        MissingFileError: There is none.
        DataError: One is not a LabelMe document, or not named like its image.
    """
    files = [path for path in sorted(folder.rglob("*.json")) if path.name != SIDE_NAME]
    if not files:
        raise MissingFileError(f"There is no LabelMe file (*.json) in {folder}.")
    documents = {}
    for path in files:
        document = read_json(path)
        _check_document(path, document)
        documents[path.relative_to(folder).with_suffix("").as_posix()] = document
    return documents


def write_labelme(folder: Path, documents: Documents) -> None:
    """Write each document."""
    for stem, document in documents.items():
        write_json(folder / f"{stem}.json", document, indent=2)


def encode_labelme(tree: Tree, hint: dict[str, Any]) -> Documents:
    """Return a document for each image; crowd regions are left out.

    Raises:
        DataError: Two images have the same stem.
    """
    schema, documents = list_schema(tree), {}
    for name, image in tree["images"].items():
        stem = strip_suffix(name)
        if stem in documents:
            raise DataError(f"YOLO and LabelMe name labels like their image: two images are called {stem}.")
        groups = number_groups(image["people"], lowest=0, num_alone=1)
        shapes = [_draw_person(person, schema, group) for person, group in zip(image["people"], groups)]
        documents[stem] = {
            "version": "5.0.0", "flags": {}, "shapes": [shape for drawn in shapes for shape in drawn],
            "imagePath": PurePosixPath(name).name, "imageData": None,
            "imageHeight": image["fields"]["height"], "imageWidth": image["fields"]["width"],
        }  # fmt: skip
    return documents


def decode_labelme(documents: Documents, schema: Schema, sizes: Sizes) -> Tree:
    """Return the tree of documents.

    Raises:
        DataError: The points of an image cannot be told apart; the message names file and point.
    """
    images = {}
    for stem, document in documents.items():
        name = str(PurePosixPath(stem).parent / _find_name(document))
        fields = {"width": document["imageWidth"], "height": document["imageHeight"]}
        groups = _group_shapes(f"{stem}.json", document["shapes"])
        people = [_read_person(f"{stem}.json", group, shapes, schema) for group, shapes in groups.items()]
        images[name] = {"fields": fields, "people": people, "crowds": []}
    return make_tree(schema, images)


def find_schema(documents: Documents, names: list[str] | None, known: Schema) -> Schema:
    """Return the categories and keypoints that the shapes name, in the order in which they come.

    Args:
        documents: What ``read_labelme`` returned.
        names: The keypoint names, where they are given.
        known: What the side file says.
    """
    shapes = [shape for document in documents.values() for shape in document["shapes"]]
    points = list(dict.fromkeys(shape["label"] for shape in shapes if shape["shape_type"] == "point"))
    boxes = dict.fromkeys(shape["label"] for shape in shapes if shape["shape_type"] == "rectangle")
    found = {label: list(names or points) for label in boxes or ([] if known else [_DEFAULT_CATEGORY])}
    return {**found, **known} if names is None else {**known, **found}


def align_shapes(item: Any) -> Hashable:
    """Say which shapes are the same one."""
    return item.get("label"), str(item.get("group_id")), item.get("shape_type")


def _check_document(path: Path, document: Any) -> None:
    is_whole = (
        isinstance(document, dict)
        and isinstance(document.get("imagePath"), str)
        and isinstance(document.get("shapes"), list)
        and all(is_id(document.get(key)) and document[key] > 0 for key in ("imageWidth", "imageHeight"))
    )
    if not is_whole:
        raise DataError(f"{path} is no LabelMe file: it needs shapes, imagePath, imageWidth and imageHeight.")
    for number, shape in enumerate(document["shapes"]):
        if not _is_shape(shape):
            raise DataError(f"{path}: shapes[{number}] needs a label, a shape_type and points of two numbers.")
    if PurePosixPath(_find_name(document)).stem != path.stem:
        raise DataError(f"{path} is of the image {_find_name(document)}: give both the same name.")


def _is_shape(shape: Any) -> bool:
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
        return False
    if shape.get("shape_type") not in ("point", "rectangle"):
        return isinstance(shape.get("shape_type"), str)
    points = shape.get("points")
    return isinstance(points, list) and bool(points) and all(are_numbers(point, 2) for point in points)


def _find_name(document: Any) -> str:
    return PurePosixPath(document["imagePath"].replace("\\", "/")).name


def _group_shapes(file: str, shapes: list[Shape]) -> dict[int | None, list[Shape]]:
    """Return points and rectangles by person; without numbers they must be one person's."""
    groups: dict[int | None, list[Shape]] = defaultdict(list)
    for shape in shapes:
        if shape["shape_type"] in ("point", "rectangle"):
            groups[shape.get("group_id")].append(shape)
    for group, members in groups.items():
        keys = [(shape["shape_type"] == "rectangle") or shape["label"] for shape in members]
        repeated = [shape for shape, key in zip(members, keys) if keys.count(key) > 1]
        if repeated:
            word = f"{repeated[0]['shape_type']} {repeated[0]['label']!r}"
            raise DataError(f"{file}: group_id {group!r} has {word} more than once: give each person a group_id.")
    return groups


def _read_person(file: str, group: int | None, shapes: list[Shape], schema: Schema) -> dict[str, Any]:
    boxes = [shape for shape in shapes if shape["shape_type"] == "rectangle"]
    points = {shape["label"]: shape for shape in shapes if shape["shape_type"] == "point"}
    category = boxes[0]["label"] if boxes else next(iter(schema))
    unknown = [label for label in points if label not in schema.get(category, ())]
    if category not in schema or unknown:
        raise DataError(f"{file}: {(unknown or [category])[0]!r} is neither a category nor one of its keypoints.")
    box = _find_box(boxes[0]["points"]) if boxes else None
    return make_person(category, box, [_find_point(points.get(name)) for name in schema[category]], group_id=group)


def _find_box(points: list[list[float]]) -> list[float]:
    xs, ys = zip(*points)
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _find_point(shape: Shape | None) -> tuple[float, float, int]:
    if shape is None:
        return 0, 0, 0
    x, y = shape["points"][0]
    return x, y, 1 if (shape.get("flags") or {}).get("occluded") else 2


def _draw_person(person: dict[str, Any], schema: Schema, group: int | None) -> list[Shape]:
    shapes = []
    if needs_box(person):
        x, y, width, height = person["bbox"]
        shapes.append(_draw("rectangle", person["category"], [[x, y], [x + width, y + height]], group))
    for name, (x, y, v) in zip(schema[person["category"]], list_points(person)):
        if v > 0:
            shapes.append(_draw("point", name, [[x, y]], group, is_occluded=v == 1))
    return shapes


def _draw(kind: str, label: str, points: list[list[float]], group: int | None, is_occluded: bool = False) -> Shape:
    flags = {"occluded": True} if is_occluded else {}
    return {
        "label": label, "points": points, "group_id": group, "description": "", "shape_type": kind, "flags": flags,
    }  # fmt: skip
