"""A COCO file as a tree: people below their image, names in place of ids.

    {"top": {...}, "categories": {name: {...}},
     "images": {file name: {"fields": {...}, "people": [...], "crowds": [...]}}}

Other formats hold people this way, and two trees can be compared entry by entry.  ``at`` is the
place of an entry in its list of the COCO file; trees from other formats have neither it nor ids.
Crowd regions (``iscrowd``) stand apart, because not every format can tell them from people.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count
from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.files import SECTIONS, Coco
from rtmo_plugin.labels.numbers import is_id

Tree = dict[str, Any]
Schema = dict[str, list[str]]  # keypoint names by category
Sizes = dict[str, tuple[int, int]]  # (width, height) by file name

# Other findings are values, which every format keeps as they are.
_OBSTACLES = ("-broken", "-repeated", "-conflict", "-keypoints", "unknown-", "keypoint-count", "-number")


def to_tree(coco: Coco) -> Tree:
    """Return a COCO file as a tree.

    Raises:
        DataError: Ids, references, names or numbers are broken, so that it cannot be converted.
    """
    for kind, problems in check_coco(coco).items():
        if any(part in kind for part in _OBSTACLES):
            raise DataError(f"The file cannot be converted, run check with --fix first: {problems[0].text} [{kind}].")
    categories = _name_entries(coco["categories"], "name", "categories")
    names = {entry["id"]: name for name, entry in categories.items()}
    fields = _name_entries(coco["images"], "file_name", "images")
    images: Tree = {name: {"fields": entry, "people": [], "crowds": []} for name, entry in fields.items()}
    by_id = {entry["id"]: images[name] for name, entry in fields.items()}
    for at, person in enumerate(coco["annotations"]):
        kept = {key: value for key, value in person.items() if key not in ("image_id", "category_id")}
        group = "crowds" if person.get("iscrowd") else "people"
        by_id[person["image_id"]][group].append({**kept, "category": names[person["category_id"]], "at": at})
    top = {key: value for key, value in coco.items() if key not in SECTIONS}
    return {"top": top, "categories": categories, "images": images}


def from_tree(tree: Tree) -> Coco:
    """Return a tree as a COCO file; entries without an id get one that is free, and come last.

    Raises:
        DataError: A person is of a category that the tree does not have.
    """
    categories = _number_entries([{**entry, "name": name} for name, entry in tree["categories"].items()])
    images = _number_entries([{**image["fields"], "file_name": name} for name, image in tree["images"].items()])
    category_ids = {entry["name"]: entry["id"] for entry in categories}
    image_ids = {entry["file_name"]: entry["id"] for entry in images}
    people = []
    for name, image in tree["images"].items():
        for person in chain(image["people"], image.get("crowds", [])):
            if person["category"] not in category_ids:
                raise DataError(f"{name} has a {person['category']!r}, but the categories are {list(category_ids)}.")
            kept = {key: value for key, value in person.items() if key != "category"}
            people.append({**kept, "image_id": image_ids[name], "category_id": category_ids[person["category"]]})
    return {**tree["top"], "images": images, "annotations": _number_entries(people), "categories": categories}


def make_tree(schema: Schema, images: dict[str, Any]) -> Tree:
    """Return the tree of a format that knows of a category only its keypoints."""
    categories = {name: {"keypoints": list(names)} for name, names in schema.items()}
    return {"top": {}, "categories": categories, "images": images}


def list_schema(tree: Tree) -> Schema:
    """Return the keypoint names of each category."""
    return {name: entry["keypoints"] for name, entry in tree["categories"].items()}


def list_sizes(tree: Tree) -> Sizes:
    """Return (width, height) of each image by file name."""
    return {name: (image["fields"]["width"], image["fields"]["height"]) for name, image in tree["images"].items()}


def _name_entries(entries: list[Any], key: str, section: str) -> dict[str, Any]:
    """Return entries by their name, each with its place."""
    named: dict[str, Any] = {}
    for at, entry in enumerate(entries):
        if entry[key] in named:
            raise DataError(f"The file cannot be converted: two {section} have the {key} {entry[key]!r}.")
        named[entry[key]] = {**{k: value for k, value in entry.items() if k != key}, "at": at}
    return named


def _number_entries(entries: list[Any]) -> list[Any]:
    """Return entries in their old order, the new ones last, all with ids."""
    ordered = sorted(entries, key=lambda entry: entry.get("at", len(entries) + 2**62))
    ids = _count_free(entry["id"] for entry in entries if is_id(entry.get("id")))
    kept = ({key: value for key, value in entry.items() if key != "at"} for entry in ordered)
    return [entry if "id" in entry else {"id": next(ids), **entry} for entry in kept]


def _count_free(used: Iterator[int]) -> Iterator[int]:
    return count(max(used, default=0) + 1)
