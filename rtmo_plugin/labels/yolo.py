"""YOLO pose labels as a tree and back.

Coordinates there are fractions of the image, so its size must be known: from the side file, or from
the pictures.  Crowd regions are left out of the lines, where they would be people.  The documents
are those of ``yolo_files``.
"""

from __future__ import annotations

from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.keypoint_schemas import COCO
from rtmo_plugin.keypoint_sides import read_sides
from rtmo_plugin.labels.categories import list_partners
from rtmo_plugin.labels.numbers import are_numbers
from rtmo_plugin.labels.person import list_points, make_person, tidy
from rtmo_plugin.labels.pictures import strip_suffix
from rtmo_plugin.labels.tree import Schema, Sizes, Tree, list_schema, make_tree
from rtmo_plugin.labels.yolo_folders import USUAL

Documents = dict[str, Any]
_FRACTION_DECIMALS = 15  # survive the way to pixels and back, which ``tidy`` rounds to 10


def encode_yolo(tree: Tree, hint: dict[str, Any]) -> Documents:
    """Return the documents of a tree, without crowds.

    Args:
        tree: What to write.
        hint: ``{"split": "val"}`` names the split; ``"dims": 2`` leaves the visibility out; ``"place"``
            is where the labels are (see ``Split.find_pattern``).

    Raises:
        DataError: YOLO cannot hold it: categories with different keypoints, or two images of one stem.
    """
    schema = list_schema(tree)
    names = next(iter(schema.values()), [])
    if any(other != names for other in schema.values()):
        raise DataError("YOLO has one set of keypoints for all classes, but the categories have different ones.")
    dims, numbers = hint.get("dims", 3), {name: number for number, name in enumerate(schema)}
    pairs = [category.get("flip_pairs") for category in tree["categories"].values()]
    data = {
        "path": ".", "train": f"images/{hint['split']}", "val": f"images/{hint['split']}",
        "names": list(schema), "kpt_shape": [len(names), dims],
        "flip_idx": list_partners(names, next(iter(pairs), None)),
        "kpt_names": {str(number): names for number in numbers.values()},
    }  # fmt: skip
    labels: dict[str, Any] = {}
    for name, image in tree["images"].items():
        stem = strip_suffix(name)
        if stem in labels:
            raise DataError(f"YOLO and LabelMe name labels like their image: two images are called {stem}.")
        size = image["fields"]["width"], image["fields"]["height"]
        labels[stem] = [_encode_person(person, numbers[person["category"]], size, dims) for person in image["people"]]
    return {"data": data, "labels": labels, "place": hint.get("place", USUAL)}


def decode_yolo(documents: Documents, schema: Schema, sizes: Sizes) -> Tree:
    """Return the tree of documents.

    Args:
        documents: What ``read_yolo`` returned.
        schema: Keypoint names by category.
        sizes: (width, height) of every image by file name.

    Raises:
        DataError: A label file belongs to no image, a line to no category, or a flip to no keypoint.
    """
    files = {strip_suffix(name): name for name in sizes}
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
    tree = make_tree({name: schema[name] for name in categories}, images)
    named = {
        name: {**entry, **_find_flips(documents, entry["keypoints"])} for name, entry in tree["categories"].items()
    }
    return {**tree, "categories": named}


def find_schema(documents: Documents, names: list[str] | None, known: Schema) -> Schema:
    """Return the keypoint names that data.yaml has, or that are given; 17 are COCO's, and others are numbered.

    Raises:
        DataError: There are more or fewer than ``kpt_shape`` says.
    """
    data, num_keypoints = documents["data"], documents["data"]["kpt_shape"][0]
    numbered = [f"keypoint_{index}" for index in range(num_keypoints)]
    default = names or (list(COCO.names) if num_keypoints == len(COCO.names) else numbered)
    schema = {
        name: list(names or _find_names(data, number) or known.get(name) or default)
        for number, name in enumerate(data["names"])
    }
    wrong = [given for given in schema.values() if len(given) != num_keypoints]
    if wrong:
        raise DataError(f"kpt_shape in data.yaml is for {num_keypoints} keypoints, but {len(wrong[0])} are named.")
    return schema


def find_hint(documents: Documents) -> dict[str, Any]:
    """Return how many numbers a keypoint has, where they are not three, and an unusual place of the labels."""
    hint = {"dims": documents["data"]["kpt_shape"][1], "place": documents["place"]}
    return {key: value for key, value in hint.items() if value not in (3, USUAL)}


def _find_flips(documents: Documents, names: list[str]) -> dict[str, Any]:
    """Return the ``flip_pairs`` of a category where ``flip_idx`` says more than the names.

    Raises:
        DataError: It does not exchange keypoints.
    """
    partners = documents["data"].get("flip_idx")
    sides = read_sides(names)
    if not partners or (partners == list(sides.partners) and not sides.faults and not sides.doubts):
        return {}
    numbers = set(range(len(names)))
    if not are_numbers(partners, len(names)) or set(partners) != numbers:
        raise DataError(f"flip_idx in data.yaml must hold each number from 0 to {len(names) - 1} once, not {partners}.")
    moved = [(a, b) for a, b in enumerate(partners) if partners[b] != a]
    if moved:
        a, b = moved[0]
        raise DataError(f"flip_idx in data.yaml takes keypoint {a} to {b}, but {b} to {partners[b]}: write pairs.")
    return {"flip_pairs": [[names[a], names[b]] for a, b in enumerate(partners) if a < b]}


def _find_names(data: dict[str, Any], number: int) -> list[str] | None:
    """Return ``kpt_names`` of a class: by its number, in a list of lists, or one list for all."""
    held = data.get("kpt_names")
    if isinstance(held, dict):
        held = held.get(str(number))
    elif isinstance(held, list) and number < len(held) and isinstance(held[number], list):
        held = held[number]
    return [str(name) for name in held] if isinstance(held, list) else None


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
