"""Converts values of a COCO file that are in another form than COCO's, but unambiguous.

``"1"`` and ``1.0`` are 1, text may be an id, keypoints may be nested, named or missing, boxes may be two corners.
Ambiguous values stay as they are, for the checks to find. Entries keep their order, and unchanged ones are shared with
the original.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count
from pathlib import PurePosixPath
from typing import Any

from rtmo_plugin.labels.coco_files import Coco, list_entries
from rtmo_plugin.labels.json_values import are_numbers, is_id, is_number, read_whole
from rtmo_plugin.labels.problems import Problem
from rtmo_plugin.wording import shorten

Entry = dict[str, Any]
_FILE_KEYS = ("filename", "fileName", "file", "image_name", "path")
_BOX_KEYS = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_CORNER_KEYS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("xtl", "ytl", "xbr", "ybr"))
_POINT_KEYS = (("x", "y", "v"), ("x", "y", "visibility"), ("x", "y", "visible"))


def normalize_coco(coco: Coco) -> tuple[Coco, list[Problem]]:
    """Return a COCO file in COCO's own form, and a finding for each converted entry."""
    image_ids, category_ids = _number(coco["images"]), _number(coco["categories"])
    categories = [_convert_category(each, category_ids) for each in coco["categories"]]
    free = _count_free((coco["images"], "id"), (coco["annotations"], "image_id"))
    images = [_convert_image(each, image_ids, free) for each in coco["images"]]
    references = _References(images, categories, image_ids, category_ids, coco["annotations"])
    new_ids = _count_free((coco["annotations"], "id"))
    people = [_convert_person(each, references, new_ids) for each in coco["annotations"]]
    converted = {**coco, "images": images, "annotations": people, "categories": categories}
    return converted, list(_list_changes(coco, converted))


def _list_changes(coco: Coco, converted: Coco) -> Iterator[Problem]:
    for section, kind in (("categories", "category"), ("images", "image"), ("annotations", "annotation")):
        for index, (old, new) in enumerate(zip(coco[section], converted[section])):
            if old is new:
                continue
            keys = [key for key in new if key not in old or old[key] is not new[key]]
            words = ", ".join(f"{key} is {shorten(old.get(key))}" for key in keys[:2])
            yield Problem(f"{kind}-form", index, f"{section}[{index}]: {words}")


def _read_float(value: Any) -> float | None:
    """Return the finite number that a value is or spells, or None."""
    if is_number(value):
        return value  # type: ignore[no-any-return]
    if not isinstance(value, str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if is_number(number) else None


def _number(entries: list[Any]) -> dict[Any, int]:
    """Return a whole number for each id that is not a whole number; different ids get different numbers."""
    ids = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    used = {value for value in ids if is_id(value)}
    numbers: dict[Any, int] = {}
    waiting = []
    for value in ids:
        if is_id(value) or not isinstance(value, (str, float)) or value in numbers:
            continue
        whole = read_whole(value)
        if whole is None and isinstance(value, float):  # 2.5 or NaN
            continue
        if whole is None or whole in used:
            waiting.append(value)
        else:
            numbers[value] = whole
            used.add(whole)
    free = count(max(used, default=0) + 1)
    return {**numbers, **{value: next(free) for value in waiting if value not in numbers}}


def _count_free(*used: tuple[list[Any], str]) -> Iterator[int]:
    """Count from the first number above all that lists of entries have, or spell, under a key."""
    values = [read_whole(each.get(key)) for entries, key in used for each in entries if isinstance(each, dict)]
    return count(max((value for value in values if value is not None), default=0) + 1)


def _convert_image(image: Any, ids: dict[Any, int], free: Iterator[int]) -> Any:
    if not isinstance(image, dict):
        return image
    changes: Entry = {}
    if not isinstance(image.get("file_name"), str):
        names = [image[key] for key in _FILE_KEYS if isinstance(image.get(key), str) and image[key]]
        if not names:
            return image
        changes["file_name"] = names[0]
    if image.get("id") is None:
        changes["id"] = next(free)
    elif isinstance(image["id"], (str, float)) and image["id"] in ids:
        changes["id"] = ids[image["id"]]
    for side in ("width", "height"):
        whole = read_whole(image.get(side))
        if whole is not None and not is_id(image[side]):
            changes[side] = whole
    return {**image, **changes} if changes else image


def _convert_category(category: Any, ids: dict[Any, int]) -> Any:
    if not isinstance(category, dict):
        return category
    changes: Entry = {}
    if isinstance(category.get("id"), (str, float)) and category["id"] in ids and isinstance(category.get("name"), str):
        changes["id"] = ids[category["id"]]
    names = _list_names(category.get("keypoints"))
    if names is not None:
        changes["keypoints"] = names
    names = names or category.get("keypoints")
    skeleton: list[list[Any]] = category["skeleton"] if _are_pairs(category.get("skeleton")) else []
    if isinstance(names, list) and any(isinstance(end, (str, float)) for bone in skeleton for end in bone):
        places: dict[Any, int] = {name: place for place, name in enumerate(names, start=1) if isinstance(name, str)}
        found = [[places.get(end, read_whole(end)) for end in bone] for bone in skeleton]
        if all(end is not None for bone in found for end in bone):
            changes["skeleton"] = found
    return {**category, **changes} if changes else category


def _list_names(keypoints: Any) -> list[str] | None:
    """Return keypoint names that are given by number, or as objects with a ``name``; else None."""
    if isinstance(keypoints, dict) and keypoints and all(read_whole(key) is not None for key in keypoints):
        values = [keypoints[key] for key in sorted(keypoints, key=lambda key: read_whole(key) or 0)]
        return values if all(isinstance(value, str) for value in values) else None
    if isinstance(keypoints, list) and keypoints and all(isinstance(each, dict) for each in keypoints):
        names = [each.get("name") for each in keypoints]
        return names if all(isinstance(name, str) for name in names) else None
    return None


def _are_pairs(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(each, list) and len(each) == 2 for each in values)


class _References:
    """Finds the image and the category of an annotation.

    Args:
        images: Converted images.
        categories: Converted categories.
        image_ids: New image ids by old ones.
        category_ids: New category ids by old ones.
        people: Annotations before conversion.
    """

    def __init__(
        self, images: list[Any], categories: list[Any], image_ids: dict[Any, int], category_ids: dict[Any, int],
        people: list[Any],
    ) -> None:  # fmt: skip
        self._new = {"image_id": image_ids, "category_id": category_ids}
        named, kinds = list_entries(images), list_entries(categories)
        self._ids = {
            "image_id": {each["id"] for each in named},
            "category_id": {each["id"] for each in kinds},
        }
        stems = [(str(each.get("file_name")), each["id"]) for each in named]
        spelled = [pair for name, number in stems for pair in {(name, number), (PurePosixPath(name).stem, number)}]
        self._names = {
            "image_id": _keep_unique(spelled),
            "category_id": _keep_unique([(str(each.get("name")), each["id"]) for each in kinds]),
        }
        self.names = {each["id"]: each.get("keypoints") for each in kinds}
        given = {str(each.get("category_id")) for each in people if isinstance(each, dict)}
        self._only = kinds[0]["id"] if len(kinds) == 1 and len(categories) == 1 and len(given) == 1 else None

    def find(self, key: str, value: Any) -> int | None:
        """Return the id that a value means; None if the value stays as it is."""
        if is_id(value) and value in self._ids[key]:
            return None
        if isinstance(value, (str, float)):
            found = self._new[key].get(value)
            found = self._names[key].get(value) if found is None else found  # type: ignore[arg-type]
            whole = read_whole(value)
            if found is not None or whole in self._ids[key]:
                return whole if found is None else found
        return self._only if key == "category_id" and (value is None or is_id(value)) else None


def _keep_unique(pairs: list[tuple[str, int]]) -> dict[str, int]:
    seen: dict[str, set[int]] = {}
    for name, number in pairs:
        seen.setdefault(name, set()).add(number)
    return {name: next(iter(numbers)) for name, numbers in seen.items() if len(numbers) == 1}


def _convert_person(person: Any, references: _References, new_ids: Iterator[int]) -> Any:
    if not isinstance(person, dict):
        return person
    changes: Entry = {}
    if person.get("id") is None:
        changes["id"] = next(new_ids)
    elif not is_id(person["id"]):
        whole = read_whole(person["id"])
        changes.update({} if whole is None else {"id": whole})
    for key in ("image_id", "category_id"):
        found = references.find(key, person.get(key))
        if found is not None:
            changes[key] = found
    category_id = changes.get("category_id", person.get("category_id"))
    names = references.names.get(category_id) if is_id(category_id) else None
    changes.update(_convert_keypoints(person.get("keypoints"), names))
    if person.get("keypoints") in (None, []) and isinstance(names, list) and names:
        changes.update(keypoints=[0] * (3 * len(names)), num_keypoints=0)
    changes.update(_convert_box(person.get("bbox")))
    for key in ("num_keypoints", "iscrowd"):
        value = person.get(key)
        if is_id(value) or value is None:
            continue
        whole = int(value) if isinstance(value, bool) else read_whole(value)
        changes.update({} if whole is None else {key: whole})
    if isinstance(person.get("area"), str) and (area := _read_float(person["area"])) is not None:
        changes["area"] = area
    return {**person, **changes} if changes else person


def _convert_keypoints(keypoints: Any, names: Any) -> Entry:
    """Return ``keypoints`` as 3K numbers, if they are in another form."""
    if not isinstance(names, list) or not isinstance(keypoints, (list, dict)) or not keypoints:
        return {}
    size = len(names)
    if are_numbers(keypoints, 3 * size):
        return {}
    points = _list_points(keypoints, names)
    flat = None if points is None else [_read_point(point) for point in points]
    if flat is None or len(flat) != size or any(point is None for point in flat):
        return {}
    return {"keypoints": [value for point in flat for value in point or ()]}


def _list_points(keypoints: Any, names: list[Any]) -> list[Any] | None:
    """Return the part of ``keypoints`` for each of K names, in order; None if it cannot be divided."""
    size = len(names)
    if isinstance(keypoints, dict):
        return [keypoints.get(name) for name in names] if set(keypoints) <= set(map(str, names)) else None
    if all(isinstance(each, dict) and each.get("name") in names for each in keypoints):
        by_name = {each["name"]: each for each in keypoints}
        return [by_name.get(name) for name in names] if len(by_name) == len(keypoints) else None
    if len(keypoints) == size and all(each is None or isinstance(each, (list, dict)) for each in keypoints):
        return list(keypoints)
    if len(keypoints) == 3 and all(isinstance(each, list) and len(each) == size for each in keypoints):
        return [list(each) for each in zip(*keypoints)]
    if any(isinstance(each, (list, dict)) for each in keypoints) or len(keypoints) not in (2 * size, 3 * size):
        return None
    width = len(keypoints) // size
    return [keypoints[start : start + width] for start in range(0, len(keypoints), width)]


def _read_point(point: Any) -> list[float] | None:
    """Return x, y and visibility of a point; without visibility, it is labeled unless it is (0, 0)."""
    if point is None:
        return [0, 0, 0]
    if isinstance(point, dict):
        keys = next((keys for keys in _POINT_KEYS if set(keys) <= set(point)), ("x", "y"))
        if not set(keys) <= set(point):
            return None
        point = [point[key] for key in keys]
    if point and all(value is None or (place == 2 and not value) for place, value in enumerate(point)):
        return [0, 0, 0]
    values = [int(value) if isinstance(value, bool) else _read_float(value) for value in point]
    if len(values) not in (2, 3) or any(value is None for value in values):
        return None
    numbers = [value for value in values if value is not None]
    return numbers if len(numbers) == 3 else [*numbers, 2 if any(numbers) else 0]


def _convert_box(box: Any) -> Entry:
    """Return ``bbox`` as four numbers, if it is text, an object or two corners."""
    if are_numbers(box, 4) or (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        return {}
    values, is_corners = box, False
    if isinstance(box, dict):
        keys = next((keys for keys in _BOX_KEYS + _CORNER_KEYS if set(keys) <= set(box)), None)
        if keys is None:
            return {}
        values, is_corners = [box[key] for key in keys], keys in _CORNER_KEYS
    elif _are_pairs(box) and len(box) == 2:
        values, is_corners = list(chain.from_iterable(box)), True
    numbers = [_read_float(value) for value in values] if isinstance(values, list) else []
    if len(numbers) != 4 or any(number is None for number in numbers):
        return {}
    a, b, c, d = (number for number in numbers if number is not None)
    return {"bbox": [a, b, c - a, d - b] if is_corners else [a, b, c, d]}
