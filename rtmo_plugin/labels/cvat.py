"""CVAT's XML, "CVAT for images 1.1": skeletons, and boxes that share their group.

A person is a ``<skeleton>`` labelled with the category, whose ``<points>`` are the keypoints
(``outside``: not labelled, ``occluded``: COCO's visibility 1), and, with the same ``group_id``, a ``<box>``
labelled ``CATEGORY box``.  Everything else below an image is kept aside.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import read_text, write_file
from rtmo_plugin.labels.numbers import read_number
from rtmo_plugin.labels.person import list_points, make_person, needs_box, number_groups
from rtmo_plugin.labels.tree import Schema, Sizes, Tree, list_schema, make_tree

Element = dict[str, Any]  # {"tag": ..., "attrib": {...}, "text": ..., "children": [...]}, as JSON can hold it
_BOX = " box"


def read_cvat(path: Path) -> Element:
    """Return the root of a CVAT file.

    Raises:
        MissingFileError: There is no such file.
        DataError: It is not XML (the message names the place), or not CVAT's.
    """
    text = read_text(path)
    if "<!DOCTYPE" in text:  # could define entities without end
        raise DataError(f"{path} has a document type, which CVAT's files have not: it is not read.")
    try:
        root = _to_dict(ElementTree.fromstring(text))
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is not whole XML: {error}.") from None
    if root["tag"] != "annotations" or not _find_all(root, "image"):
        raise DataError(f'{path} is not in the format "CVAT for images": it has no <annotations> with <image>s.')
    return root


def write_cvat(path: Path, root: Element) -> None:
    """Write the file."""
    element = _to_element(root)
    ElementTree.indent(element)
    write_file(path, ['<?xml version="1.0" encoding="utf-8"?>\n', ElementTree.tostring(element, "unicode"), "\n"])


def encode_cvat(tree: Tree, hint: dict[str, Any]) -> Element:
    """Return the root element of a tree; crowd regions are left out."""
    schema = list_schema(tree)
    labels = [label for name, names in schema.items() for label in _make_labels(name, names)]
    meta = _make("meta", [_make("task", [_make("labels", labels)])])
    images = []
    for index, (name, image) in enumerate(tree["images"].items()):
        size = {key: str(image["fields"][key]) for key in ("width", "height")}
        groups = number_groups(image["people"], lowest=1, num_alone=len(image["people"]))
        shapes = [_draw_person(person, schema, group) for person, group in zip(image["people"], groups)]
        children = [shape for drawn in shapes for shape in drawn]
        images.append(_make("image", children, id=str(index), name=name, **size))
    return _make("annotations", [_make("version", text="1.1"), meta, *images])


def decode_cvat(root: Element, schema: Schema, sizes: Sizes) -> Tree:
    """Return the tree of a file.

    Raises:
        DataError: An image has no size, or a shape no such label; the message names the image.
    """
    images = {}
    for image in _find_all(root, "image"):
        name = image["attrib"].get("name", "")
        try:
            fields = {key: int(image["attrib"][key]) for key in ("width", "height")}
            people = _read_people(image, schema)
        except (KeyError, ValueError) as error:
            raise DataError(f"Image {name!r} of the CVAT file has a missing or wrong attribute: {error}.") from None
        images[name] = {"fields": fields, "people": people, "crowds": []}
    return make_tree(schema, images)


def find_schema(root: Element, names: list[str] | None, known: Schema) -> Schema:
    """Return the categories and keypoints that the labels of the task name, or else the skeletons.

    Raises:
        DataError: There is no skeleton.
    """
    schema: Schema = dict(known)
    for label in _find_deep(root, "label"):
        parts = [_find_text(part, "name") for sub in _find_all(label, "sublabels") for part in _find_all(sub, "label")]
        if parts:
            schema.setdefault(_find_text(label, "name"), parts)
    for skeleton in _find_deep(root, "skeleton"):
        parts = [point["attrib"].get("label", "") for point in skeleton["children"]]
        schema.setdefault(skeleton["attrib"].get("label", ""), parts)
    if not schema:
        raise DataError("The CVAT file has no <skeleton>: draw keypoints as skeletons, so that they have names.")
    return {name: list(names or parts) for name, parts in schema.items()}


def align_elements(item: Any) -> Hashable:
    """Say which elements are the same one."""
    attributes = item.get("attrib", {})
    return item.get("tag"), attributes.get("name"), attributes.get("label"), attributes.get("group_id")


def _read_people(image: Element, schema: Schema) -> list[dict[str, Any]]:
    """Return the people of an image: skeletons with the box of their group, and boxes without skeleton."""
    boxes = [shape for shape in _find_all(image, "box") if _find_category(shape, schema)]
    people = []
    for shape in image["children"]:
        group = _find_group(shape)
        if shape["tag"] == "skeleton":
            own = [box for box in boxes if group is not None and _find_group(box) == group]
            people.append(_read_person(shape, own[0] if own else None, schema))
    grouped = {person["group_id"] for person in people} - {None}
    alone = [box for box in boxes if _find_group(box) not in grouped]
    return people + [_read_box_alone(box, schema) for box in alone]


def _read_person(skeleton: Element, box: Element | None, schema: Schema) -> dict[str, Any]:
    category = skeleton["attrib"]["label"]
    parts = {part["attrib"]["label"]: part["attrib"] for part in skeleton["children"]}
    unknown = [name for name in parts if name not in schema[category]]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no keypoint of {category!r}")
    points = [_read_point(parts.get(name)) for name in schema[category]]
    return make_person(category, _read_box(box) if box else None, points, group_id=_find_group(skeleton))


def _read_point(attributes: dict[str, str] | None) -> tuple[float, float, int]:
    if attributes is None or attributes.get("outside") == "1":
        return 0, 0, 0
    x, y = attributes["points"].split(",")
    return read_number(x), read_number(y), 1 if attributes.get("occluded") == "1" else 2


def _read_box(box: Element) -> list[float]:
    left, top, right, bottom = (read_number(box["attrib"][key]) for key in ("xtl", "ytl", "xbr", "ybr"))
    return [left, top, right - left, bottom - top]


def _read_box_alone(box: Element, schema: Schema) -> dict[str, Any]:
    category = _find_category(box, schema)
    points = [(0, 0, 0)] * len(schema[category])
    return make_person(category, _read_box(box), points, group_id=_find_group(box))  # type: ignore[arg-type]


def _find_category(box: Element, schema: Schema) -> str:
    label = box["attrib"].get("label", "")
    name = label.removesuffix(_BOX)
    return label if label in schema else name if name in schema else ""


def _find_group(shape: Element) -> int | None:
    return int(shape["attrib"].get("group_id", 0)) or None


def _draw_person(person: dict[str, Any], schema: Schema, group: int | None) -> list[Element]:
    joined: dict[str, Any] = {} if group is None else {"group_id": str(group)}
    points = [
        _make(
            "points", label=name, outside=str(int(v == 0)), occluded=str(int(v == 1)), points=f"{_spell(x)},{_spell(y)}"
        )
        for name, (x, y, v) in zip(schema[person["category"]], list_points(person))
    ]
    shapes = [_make("skeleton", points, label=person["category"], **joined)]
    if needs_box(person):
        x, y, width, height = person["bbox"]
        corners: dict[str, Any] = {
            "xtl": _spell(x),
            "ytl": _spell(y),
            "xbr": _spell(x + width),
            "ybr": _spell(y + height),
        }
        shapes.append(_make("box", label=person["category"] + _BOX, **corners, **joined))
    return shapes


def _spell(value: float) -> str:
    """Spell equal numbers alike."""
    return repr(int(value) if float(value).is_integer() else value)


def _make_labels(category: str, names: list[str]) -> list[Element]:
    parts = [_make("label", [_make("name", text=name), _make("type", text="points")]) for name in names]
    skeleton = [_make("name", text=category), _make("type", text="skeleton"), _make("sublabels", parts)]
    box = [_make("name", text=category + _BOX), _make("type", text="rectangle")]
    return [_make("label", skeleton), _make("label", box)]


def _make(tag: str, children: Iterable[Element] = (), text: str = "", **attributes: Any) -> Element:
    return {"tag": tag, "attrib": attributes, "text": text, "children": list(children)}


def _to_dict(element: ElementTree.Element) -> Element:
    children = [_to_dict(child) for child in element]
    text = (element.text or "") if not children else (element.text or "").strip()
    return {"tag": element.tag, "attrib": dict(element.attrib), "text": text, "children": children}


def _to_element(content: Element) -> ElementTree.Element:
    element = ElementTree.Element(content["tag"], content["attrib"])
    element.text = content["text"] or None
    element.extend(_to_element(child) for child in content["children"])
    return element


def _find_all(element: Element, tag: str) -> list[Element]:
    return [child for child in element["children"] if child["tag"] == tag]


def _find_deep(element: Element, tag: str) -> list[Element]:
    own = _find_all(element, tag)
    return own + [found for child in element["children"] if child["tag"] != tag for found in _find_deep(child, tag)]


def _find_text(element: Element, tag: str) -> str:
    return "".join(child["text"] for child in _find_all(element, tag)).strip()
