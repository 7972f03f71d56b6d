"""CVAT's XML, "CVAT for images 1.1" and "for video 1.1": skeletons, and boxes with the same group.

A person is a ``<skeleton>`` whose ``<points>`` are the keypoints (``outside``: not labeled, ``occluded``: COCO's
visibility 1). A ``<box>`` with the skeleton's ``group_id`` is the person's box. A box labeled with the category, or
with ``CATEGORY box``, is a person without keypoints. The labels of the annotation task give the keypoint names in order
(each names its skeleton as ``<parent>``) and the bones, as an SVG drawing. Files without skeletons may have keypoints
as single ``<points>``, named by their label; ``grouping`` finds whose they are.
"""

from __future__ import annotations

import html
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, SubElement, fromstring, indent, tostring
from zipfile import is_zipfile

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import read_text
from rtmo_plugin.labels.cvat_tracks import list_frames
from rtmo_plugin.labels.grouping import Shape, ShapedImage, gather_people
from rtmo_plugin.labels.json_values import parse_number
from rtmo_plugin.labels.label_set import (
    LabeledImage,
    LabelSet,
    Person,
    Point,
    ReadOptions,
    clean_name,
    describe_left_out,
    write_new,
)

_BOX = " box"
_LOOSE = "boxes without a group"  # counted beside the shapes that are left out
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# The drawing is HTML, which need not be valid XML.
_SHAPE = re.compile(r"""<(line|circle)((?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'))*)""")
_ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")


def read_cvat(path: Path, options: ReadOptions) -> LabelSet:
    """Return the labels of a CVAT file.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It is not XML or not CVAT's, an image is there twice or has no size, or a shape has a label
            that the task does not have; the message names the place.
    """
    if path.is_file() and is_zipfile(path):
        raise DataError(f"{path} is a ZIP archive: unpack it, and name the annotations.xml in it.")
    root = parse_cvat(read_text(path), str(path))
    if root.find(".//skeleton") is None and all(each.text != "skeleton" for each in root.iter("type")):
        return _read_loose_points(path, root, options)
    categories = _find_categories(root, options)
    images: dict[str, LabeledImage] = {}
    unused: Counter[str] = Counter()
    frames, notes = list_frames(root, str(path))
    for name, size, element in _list_images(path, [*root.findall("image"), *frames]):
        try:
            images[name] = LabeledImage(*size, _read_people(element, categories, unused))
        except (KeyError, ValueError) as error:
            raise _explain(path, name, error) from None
    num_loose = unused.pop(_LOOSE, 0)
    notes += [f"Boxes without a group, taken for the skeleton in them: {num_loose:,}."] if num_loose else []
    return LabelSet(categories, images, [*notes, *describe_left_out(unused)])


def _list_images(path: Path, elements: Iterable[Element]) -> Iterator[tuple[str, tuple[int, int], Element]]:
    """Yield name, (width, height) and element of each image.

    Raises:
        DataError: An image has no name or size, or two have the same name.
    """
    names = set()
    for element in elements:
        name = element.get("name", "")
        if not name or name in names:
            fault = f"two images are called {name!r}: export their tasks one by one" if name else "an image has no name"
            raise DataError(f"{path}: {fault}.")
        names.add(name)
        try:
            size = _read_side(element, "width"), _read_side(element, "height")
        except (KeyError, ValueError) as error:
            raise _explain(path, name, error) from None
        yield name, size, element


def _explain(path: Path, name: str, error: Exception) -> DataError:
    reason = f"no attribute {error}" if isinstance(error, KeyError) else str(error)
    return DataError(f"{path}, image {name!r}: {reason}.")


def _read_loose_points(path: Path, root: Element, options: ReadOptions) -> LabelSet:
    """Return the labels of a file whose keypoints are single points and not parts of skeletons."""
    images: dict[str, ShapedImage] = {}
    unused: Counter[str] = Counter(child.tag for child in root if child.tag == "track")
    for name, size, element in _list_images(path, root.findall("image")):
        shapes = []
        try:
            for shape in element:
                if shape.tag == "box":
                    shapes.append(Shape(_get_label(shape).removesuffix(_BOX), _read_box(shape), _get_group(shape)))
                elif shape.tag == "points" and ";" not in shape.attrib["points"]:
                    x, y, visibility = _read_point(shape.attrib)
                    shapes.append(Shape(_get_label(shape), (x, y), _get_group(shape), visibility))
                else:
                    unused[shape.tag] += 1
        except (KeyError, ValueError) as error:
            raise _explain(path, name, error) from None
        images[name] = ShapedImage(size, shapes, f"{path}, image {name!r}")
    if not any(len(shape.place) == 2 for image in images.values() for shape in image.shapes):
        raise DataError("The CVAT file has no <skeleton>: draw keypoints as skeletons, so that they have names.")
    labels = gather_people(images, options)
    return replace(labels, notes=[*labels.notes, *describe_left_out(unused)])


def parse_cvat(text: str, name: str) -> Element:
    """Return the root of a CVAT file.

    Raises:
        DataError: ``text`` is not valid XML, or not in CVAT's format for images; the message calls it ``name``.
    """
    if "<!DOCTYPE" in text:  # which could define entities that expand without end
        raise DataError(f"{name} has a document type, which CVAT's files do not have: it is not read.")
    try:
        root = fromstring(text)
    except (ParseError, ValueError) as error:
        raise DataError(f"{name} is not valid XML: {error}.") from None
    if root.tag != "annotations" or (root.find("image") is None and root.find("track") is None):
        raise DataError(
            f'{name} is not in the format "CVAT for images 1.1": it has no <annotations> with <image>s, nor with '
            "<track>s as a video has. Export the task in that format."
        )
    return root


def write_cvat(labels: LabelSet, out: Path, split: str) -> None:
    """Write labels as a CVAT file.

    Raises:
        DataError: A name has a control character, which XML does not have.
    """
    names = [*labels.images, *labels.categories, *(name for each in labels.keypoints.values() for name in each)]
    wrong = [name for name in names if _NO_XML.search(name)]
    if wrong:
        raise DataError(f"CVAT's XML cannot hold the control character in {wrong[0]!r}: rename it.")
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    declared = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    for name, entry in labels.categories.items():
        _declare(declared, name, "skeleton", svg=_draw_svg(entry["keypoints"], entry.get("skeleton", [])))
        for part in entry["keypoints"]:
            _declare(declared, part, "points", parent=name)
        _declare(declared, name + _BOX, "rectangle")
    for index, (name, image) in enumerate(labels.images.items()):
        size = {"width": str(image.width), "height": str(image.height)}
        element = SubElement(root, "image", {"id": str(index), "name": name, **size})
        for group, person in enumerate(image.people, start=1):
            _draw_person(element, person, labels.categories[person.category]["keypoints"], str(group))
    indent(root)
    write_new(out, f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, "unicode")}\n')


def _find_categories(root: Element, options: ReadOptions) -> dict[str, dict[str, Any]]:
    """Return keypoints and bones by category, from the labels of the task, or else from the skeletons.

    Raises:
        DataError: The file has no skeleton.
    """
    parts: dict[str, list[str]] = {}
    drawings: dict[str, Element | None] = {}
    meta = root.find("meta")
    labels = [] if meta is None else list(meta.iter("label"))
    nested = {id(part) for label in labels for part in label.findall("sublabels/label")}
    for label in labels:
        name, parent = _find_name(label, "name"), _find_name(label, "parent")
        inner = [_find_name(part, "name") for part in label.findall("sublabels/label")]
        if parent:
            parts.setdefault(parent, []).append(name)
        elif id(label) not in nested and (inner or _find_name(label, "type") == "skeleton"):
            parts.setdefault(name, []).extend(inner)
            drawings.setdefault(name, label.find("svg"))
    shown: dict[str, list[list[str]]] = defaultdict(list)
    for owner in (*root.findall("image"), *root.findall("track")):
        for skeleton in owner.findall("skeleton"):  # of a track, which has the label
            name = clean_name(skeleton.get("label") or owner.get("label") or "")
            shown[name].append([_get_label(part) for part in skeleton.findall("points")])
    for name, lists in shown.items():
        if not parts.get(name):  # the longest list has most of the order
            longest = max(lists, key=len)
            parts[name] = list(dict.fromkeys([*longest, *(part for each in lists for part in each)]))
    if not parts:
        raise DataError("The CVAT file has no <skeleton>: draw keypoints as skeletons, so that they have names.")
    categories = {}
    for name, own in parts.items():
        found = list(dict.fromkeys(own))
        chosen = options.choose_keypoints(name, found)
        bones = _read_bones(drawings.get(name), found)
        pairs = [[chosen.index(end) + 1 for end in bone] for bone in bones if set(bone) <= set(chosen)]
        categories[name] = {"keypoints": chosen, **({"skeleton": pairs} if pairs else {})}
    return {name: entry for name, entry in categories.items() if entry["keypoints"] or name in shown}


def _read_bones(svg: Element | None, names: list[str]) -> list[tuple[str, str]]:
    """Return the bones in a skeleton's drawing, each as the names of its ends.

    Args:
        svg: Element ``<svg>`` of the label, with the drawing as text or as elements.
        names: Keypoint names, in the order of nodes without a name.
    """
    if svg is None:
        return []
    shapes: list[tuple[str, dict[str, str]]] = [(shape.tag.rpartition("}")[2], shape.attrib) for shape in svg.iter()]
    for tag, attributes in _SHAPE.findall(svg.text or ""):
        pairs = _ATTRIBUTE.findall(attributes)
        shapes.append((tag, {key: html.unescape(double or single) for key, double, single in pairs}))
    nodes = [shape for tag, shape in shapes if tag == "circle" and "data-node-id" in shape]
    named = {shape["data-node-id"]: clean_name(shape.get("data-label-name") or "") for shape in nodes}
    ends_by_id = {str(number): name for number, name in enumerate(names, start=1)}
    ends_by_id |= {number: name for number, name in named.items() if name in names}
    bones: dict[frozenset[str], tuple[str, str]] = {}
    for tag, shape in shapes:
        ends = [ends_by_id.get(shape.get(key) or "") for key in ("data-node-from", "data-node-to")]
        if tag == "line" and ends[0] and ends[1] and ends[0] != ends[1]:
            bones.setdefault(frozenset([ends[0], ends[1]]), (ends[0], ends[1]))
    return list(bones.values())


def _read_people(image: Element, categories: dict[str, dict[str, Any]], unused: Counter[str]) -> list[Person]:
    """Return the people of an image: skeletons with the box of their group, and boxes of people without one.

    Args:
        image: Element of the image.
        categories: Keypoints by category.
        unused: Counter of the omitted shapes by tag; it is updated.
    """
    skeletons, boxes = image.findall("skeleton"), image.findall("box")
    groups = Counter(_get_group(shape) for shape in skeletons)
    own_boxes: dict[int, Element] = {}
    for group in groups.keys() - {None}:
        members = [box for box in boxes if _get_group(box) == group]
        named = [box for box in members if _find_box_category(box, categories)]
        found = named or members
        if groups[group] == 1 and len(found) == 1:
            own_boxes[group] = found[0]  # type: ignore[index]
    loose = _pair_by_place(
        [shape for shape in skeletons if _get_group(shape) is None],
        [box for box in boxes if _get_group(box) is None and _find_box_category(box, categories)],
    )
    unused[_LOOSE] += len(loose)
    used = {id(box) for box in (*own_boxes.values(), *loose.values())}
    people = []
    for shape in skeletons:
        group = _get_group(shape)
        box = own_boxes.get(group) if group is not None else loose.get(id(shape))
        people.append(_read_skeleton(shape, None if box is None else _read_box(box), categories))
        unused["attribute"] += sum(1 for _ in shape.iter("attribute"))
    for box in boxes:
        category = _find_box_category(box, categories)
        if category and id(box) not in used:
            keypoints: list[float] = [0] * (3 * len(categories[category]["keypoints"]))
            people.append(Person(category, _read_box(box), keypoints, _get_group(box)))
        unused["attribute"] += len(box.findall("attribute"))
        unused["box"] += not category and id(box) not in used
    unused.update(shape.tag for shape in image if shape.tag not in ("skeleton", "box"))
    return people


def _pair_by_place(skeletons: list[Element], boxes: list[Element]) -> dict[int, Element]:
    """Return a box by the ``id()`` of its skeleton, if it alone holds the points of that skeleton and of no other."""
    holding: dict[int, list[Element]] = defaultdict(list)
    held: dict[int, list[Element]] = defaultdict(list)
    for box in boxes:
        x, y, width, height = _read_box(box)
        for shape in skeletons:
            points = [
                point for point in map(_read_point, (part.attrib for part in shape.findall("points"))) if point[2]
            ]
            if points and all(x <= px <= x + width and y <= py <= y + height for px, py, _ in points):
                holding[id(shape)].append(box)
                held[id(box)].append(shape)
    pairs = {key: found[0] for key, found in holding.items() if len(found) == 1}
    return {key: box for key, box in pairs.items() if len(held[id(box)]) == 1}


def _read_skeleton(shape: Element, box: list[float] | None, categories: dict[str, dict[str, Any]]) -> Person:
    category = clean_name(shape.attrib["label"])
    names = categories[category]["keypoints"] if category in categories else None
    if names is None:
        raise ValueError(f"its skeleton {category!r} is not a label of the task")
    points: dict[str, Point] = {}
    for part in shape.findall("points"):
        name = _get_label(part)
        if name not in names:
            raise ValueError(f"{name!r} is not a keypoint of {category!r}")
        if name in points:
            raise ValueError(f"a skeleton {category!r} has the point {name!r} twice")
        points[name] = _read_point(part.attrib)
    return Person.from_points(category, box, [points.get(name, (0, 0, 0)) for name in names], _get_group(shape))


def _read_point(attributes: dict[str, str]) -> Point:
    if attributes.get("outside") == "1":
        return 0, 0, 0
    words = attributes["points"].split(",")
    if len(words) != 2:
        raise ValueError(f"a point is {attributes['points'][:60]!r}, not two numbers")
    return parse_number(words[0]), parse_number(words[1]), 1 if attributes.get("occluded") == "1" else 2


def _read_box(box: Element) -> list[float]:
    """Return a box; for a rotated one, the upright box around it."""
    left, top, right, bottom = (parse_number(box.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(parse_number(box.get("rotation", "0")))
    if not angle:
        return [left, top, right - left, bottom - top]
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
    width = (right - left) * cosine + (bottom - top) * sine
    height = (right - left) * sine + (bottom - top) * cosine
    return [(left + right - width) / 2, (top + bottom - height) / 2, width, height]


def _find_box_category(box: Element, categories: Iterable[str]) -> str:
    label = _get_label(box)
    name = label.removesuffix(_BOX)
    return label if label in categories else name if name in categories else ""


def _get_label(shape: Element) -> str:
    return clean_name(shape.get("label", ""))


def _read_side(image: Element, key: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,8}", image.attrib[key]):
        raise ValueError(f"its {key} is {image.attrib[key][:60]!r}, not a whole number above 0")
    return int(image.attrib[key])


def _get_group(shape: Element) -> int | None:
    group = shape.get("group_id") or "0"
    if not re.fullmatch("-?[0-9]{1,18}", group):
        raise ValueError(f"a group_id is {group[:60]!r}, not a whole number")
    return int(group) or None


def _find_name(label: Element, tag: str) -> str:
    return clean_name(label.findtext(tag) or "")


def _declare(labels: Element, name: str, kind: str, **further: str) -> None:
    """Add a label of the task."""
    label = SubElement(labels, "label")
    for tag, text in {"name": name, "type": kind, "attributes": "", **further}.items():
        SubElement(label, tag).text = text


def _draw_svg(names: list[str], bones: list[list[int]]) -> str:
    """Return a skeleton's drawing in CVAT's form: nodes on a circle, and a line for each bone."""
    drawing = Element("svg")
    angles = [2 * math.pi * index / len(names) for index in range(len(names))]
    places = [(f"{50 + 40 * math.sin(angle):.2f}", f"{50 - 40 * math.cos(angle):.2f}") for angle in angles]
    for start, end in bones:
        (x1, y1), (x2, y2) = places[start - 1], places[end - 1]
        ends = {"data-type": "edge", "data-node-from": str(start), "data-node-to": str(end)}
        SubElement(drawing, "line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": "black", **ends})
    for number, (name, (x, y)) in enumerate(zip(names, places), start=1):
        node = {"data-type": "element node", "data-element-id": str(number), "data-node-id": str(number)}
        SubElement(drawing, "circle", {"r": "1.5", "cx": x, "cy": y, **node, "data-label-name": name})
    return "".join(tostring(shape, "unicode", short_empty_elements=False) for shape in drawing)


def _draw_person(image: Element, person: Person, names: list[str], group: str) -> None:
    common = {"source": "manual", "z_order": "0", "group_id": group}
    skeleton = SubElement(image, "skeleton", {"label": person.category, **common})
    for name, (x, y, v) in zip(names, person.points):
        state = {"outside": str(int(v == 0)), "occluded": str(int(v == 1))}
        SubElement(skeleton, "points", {"label": name, "source": "manual", **state, "points": f"{x!r},{y!r}"})
    assert person.bbox is not None
    x, y, width, height = person.bbox
    corners = {"xtl": repr(x), "ytl": repr(y), "xbr": repr(x + width), "ybr": repr(y + height)}
    SubElement(image, "box", {"label": person.category + _BOX, "occluded": "0", **corners, **common})
