"""Datumaro's JSON: ``annotations/SUBSET.json``, with points, boxes and skeletons of labels that name their keypoints.

An annotation ``points`` holds all keypoints of a person; a ``skeleton`` has one ``points`` element for each. A ``bbox``
of the same group is the person's box; one of a label with keypoints and without such a group is a person of its own.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import read_json
from rtmo_plugin.labels.image_sizes import find_sizes
from rtmo_plugin.labels.json_values import are_numbers, is_id, read_whole
from rtmo_plugin.labels.label_set import (
    LabeledImage,
    LabelSet,
    Person,
    Point,
    ReadOptions,
    clean_name,
    describe_left_out,
)

_SECTIONS = {"categories": dict, "items": list}


def read_datumaro(path: Path, options: ReadOptions) -> LabelSet:
    """Return the labels of one subset: a JSON file, or a data set with the subset of the option ``split``.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It is not in Datumaro's format, or an annotation is malformed; the message names the item.
    """
    file = path / "annotations" / f"{options.split}.json" if path.is_dir() else path
    data = read_json(file)
    if not isinstance(data, dict) or not all(isinstance(data.get(key), kind) for key, kind in _SECTIONS.items()):
        raise DataError(f"{file} is not in Datumaro's format: it needs categories and items.")
    labels, categories = _find_categories(data["categories"], options, file)
    unused: Counter[str] = Counter()
    people: dict[str, list[Person]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for number, item in enumerate(data["items"]):
        name, size = _read_image(item, f"{file}, items[{number}]")
        if name in people:
            raise DataError(f"{file}: two items are of the image {name}: keep one of them.")
        people[name] = _read_people(item, labels, categories, f"{file}, item {name}", unused)
        if size:
            sizes[name] = size
    missing = [name for name in people if name not in sizes]
    places = {name: (name, size) for name, size in sizes.items()} | find_sizes(missing, path.parent, options)
    images = {places[name][0]: LabeledImage(*places[name][1], own) for name, own in people.items()}
    return LabelSet(categories, images, describe_left_out(unused))


def _find_categories(
    data: dict[str, Any], options: ReadOptions, file: Path
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return the names of all labels, and the keypoints and bones of those that have keypoints."""
    try:
        labels = [clean_name(str(each["name"])) for each in data["label"]["labels"]]
        parents = [clean_name(str(each.get("parent") or "")) for each in data["label"]["labels"]]
        items = data["points"]["items"] if "points" in data else []
        found = {labels[each["label_id"]]: each for each in items}
    except (KeyError, IndexError, TypeError, AttributeError):
        raise DataError(f"{file}: categories needs label.labels with names, and points.items with label_id.") from None
    categories = {}
    for name, each in found.items():
        given = each.get("labels") if isinstance(each.get("labels"), list) else []
        names = [clean_name(str(part)) for part in given]
        names = names or [label for label, parent in zip(labels, parents) if parent == name]
        chosen = options.choose_keypoints(name, names)
        joints = each.get("joints") if isinstance(each.get("joints"), list) else []
        bones = [joint for joint in joints if isinstance(joint, list) and len(joint) == 2 and all(map(is_id, joint))]
        bones = [joint for joint in bones if all(0 < end <= len(chosen) for end in joint)]
        categories[name] = {
            "keypoints": chosen,
            **({"skeleton": bones} if bones and chosen == (names or chosen) else {}),
        }
    return labels, categories


def _read_image(item: Any, origin: str) -> tuple[str, tuple[int, int] | None]:
    """Return the name of an item's image, and width and height if the file holds them."""
    image = item.get("image") if isinstance(item, dict) else None
    image = image if isinstance(image, dict) else {}
    name = image.get("path") or (item.get("id") if isinstance(item, dict) else None)
    if not isinstance(name, str) or not isinstance(item.get("annotations"), list):
        raise DataError(f"{origin} needs id, annotations and image.")
    size = image.get("size")
    sides = [read_whole(side) for side in size] if isinstance(size, list) and len(size) == 2 else [None]
    is_size = all(side is not None and 0 < side < 10**9 for side in sides)
    return name, (sides[1], sides[0]) if is_size else None  # type: ignore[return-value]


def _read_people(
    item: dict[str, Any], labels: list[str], categories: dict[str, dict[str, Any]], origin: str, unused: Counter[str]
) -> list[Person]:
    people: list[Person] = []
    boxes: list[tuple[int, str, list[float]]] = []
    for each in item["annotations"]:
        kind = each.get("type") if isinstance(each, dict) else None
        number = each.get("label_id") if isinstance(each, dict) else None
        category = labels[number] if is_id(number) and 0 <= number < len(labels) else ""
        group = each["group"] if isinstance(each, dict) and is_id(each.get("group")) else 0
        if category not in categories or kind not in ("points", "skeleton", "bbox"):
            unused[str(kind)[:40]] += 1
        elif kind == "bbox":
            if not are_numbers(each.get("bbox"), 4):
                raise DataError(f"{origin}: a bbox needs four finite numbers.")
            boxes.append((group, category, each["bbox"]))
        else:
            names = categories[category]["keypoints"]
            points = (
                _read_points(each, names, origin) if kind == "points" else _read_elements(each, labels, names, origin)
            )
            people.append(Person.from_points(category, None, points, group or None))
    used = set()
    for index, person in enumerate(people):
        own = [place for place, (group, _, _) in enumerate(boxes) if group and group == person.group_id]
        if len(own) == 1 and [other.group_id for other in people].count(person.group_id) == 1:
            people[index] = person._replace(bbox=boxes[own[0]][2])
            used.add(own[0])
    for place, (group, category, box) in enumerate(boxes):
        if place not in used:
            people.append(Person(category, box, [0] * (3 * len(categories[category]["keypoints"])), group or None))
    return people


def _read_points(each: dict[str, Any], names: list[str], origin: str) -> list[Point]:
    numbers, visibility = each.get("points"), each.get("visibility")
    if not are_numbers(numbers, 2 * len(names)):
        raise DataError(
            f"{origin}: points needs {2 * len(names)} finite numbers, two for each of {len(names)} keypoints."
        )
    seen = visibility if isinstance(visibility, list) and len(visibility) == len(names) else [2] * len(names)
    if not {0, 1, 2}.issuperset(value if is_id(value) else -1 for value in seen):
        raise DataError(f"{origin}: visibility must hold 0, 1 or 2 for each keypoint.")
    return [(x, y, v) if v else (0, 0, 0) for x, y, v in zip(numbers[0::2], numbers[1::2], seen)]  # type: ignore[index]


def _read_elements(each: dict[str, Any], labels: list[str], names: list[str], origin: str) -> list[Point]:
    points: dict[str, Point] = {}
    for element in each.get("elements") or []:
        number = element.get("label_id") if isinstance(element, dict) else None
        name = labels[number] if is_id(number) and 0 <= number < len(labels) else ""
        if name not in names:
            raise DataError(f"{origin}: a skeleton has the element {name!r}, which is not one of its keypoints.")
        points[name] = _read_points(element, [name], origin)[0]
    return [points.get(name, (0, 0, 0)) for name in names]
