"""Annotations of a COCO file: problems of keypoints, boxes and areas, and numbers of labeled people and keypoints.

A file of COCO's size holds 262,000 annotations, so each check handles the common case with a few built-in calls
over plain lists; converting these to arrays first would take longer than the checks.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from rtmo_plugin.keypoints.person_areas import find_area_faults
from rtmo_plugin.labels.categories import find_name_fault, is_category
from rtmo_plugin.labels.coco_files import Coco, list_entries, split_points
from rtmo_plugin.labels.json_values import are_numbers, is_id, is_number
from rtmo_plugin.labels.problems import Problem

_VISIBILITIES = {0, 1, 2}
_NUM_UNCOUNTED = 2
_LEAST_BOX = 16  # pixels; around a smaller box, distances are measured in sides of this length
_ORIGIN_MARGIN = 0.1  # share of a box's longer side by which its keypoints may lie outside of it
Size = tuple[int, int]


def find_in_annotations(coco: Coco, sizes: Mapping[int, Size | None]) -> Iterator[Problem]:
    """Yield the problems of a COCO file's annotations, except repeated ids.

    Args:
        coco: Normalized content of the file.
        sizes: Image width and height by image id (see ``list_sizes``).
    """
    entries = [entry for entry in coco["categories"] if is_category(entry)]
    names = {each["id"]: None if find_name_fault(each.get("keypoints")) else each["keypoints"] for each in entries}
    boxed = {
        index: person
        for index, person in enumerate(coco["annotations"])
        if isinstance(person, dict) and are_numbers(person.get("bbox"), 4)
    }
    sized = [index for index, each in boxed.items() if is_number(each.get("area")) and each["area"] >= 0]
    for place, fault in find_area_faults([boxed[index] for index in sized]).items():  # judged over all of them
        person = boxed[sized[place]]
        words = f"annotation {person.get('id')!r} (image {person.get('image_id')!r}): {fault}"
        yield Problem("area-size", sized[place], words)
    yield from _find_copies(boxed, sizes)
    for index, person in enumerate(coco["annotations"]):
        if not isinstance(person, dict) or not is_id(person.get("id")):
            fault = f"id is {person.get('id')!r}" if isinstance(person, dict) else f"a {type(person).__name__}"
            yield Problem("annotation-broken", index, f"annotations[{index}]: {fault}")
            continue
        for kind, fault in _find_faults(person, index in boxed, sizes, names):
            yield Problem(kind, index, f"annotation {person['id']} (image {person.get('image_id')!r}): {fault}")


def _find_copies(boxed: Mapping[int, dict[str, Any]], sizes: Mapping[int, Size | None]) -> Iterator[Problem]:
    """Yield annotations that equal an earlier one except for the id, as after merging files that share images."""
    first: dict[tuple[Any, ...], dict[str, Any]] = {}
    for index, person in boxed.items():
        if not is_id(person.get("id")):
            continue
        key = (person.get("image_id"), person.get("category_id"), *person["bbox"])
        is_placed = is_id(key[0]) and key[0] in sizes and is_id(key[1])
        other = first.setdefault(key, person) if is_placed else person
        keypoints = person.get("keypoints")
        if other["id"] == person["id"] or other.get("keypoints") != keypoints or not are_numbers(keypoints):
            continue
        if any(keypoints[2::3]):  # type: ignore[index]  # are_numbers says that it is a list
            words = f"annotation {person['id']} (image {key[0]}): annotation {other['id']} has this box and keypoints"
            yield Problem("annotation-copy", index, words)


def list_sizes(coco: Coco) -> dict[int, Size | None]:
    """Return (width, height) of each image by its id; None where the entry has no usable size."""
    sides = {entry["id"]: (entry.get("width"), entry.get("height")) for entry in list_entries(coco["images"])}
    return {key: wh if all(is_number(side) for side in wh) else None for key, wh in sides.items()}  # type: ignore[misc]


def _find_faults(
    person: dict[str, Any], has_box: bool, sizes: Mapping[int, Size | None], names: Mapping[int, list[str] | None]
) -> Iterator[tuple[str, str]]:
    """Yield kind and words for each fault of one annotation."""
    image_id, category_id = person.get("image_id"), person.get("category_id")
    size = None
    if is_id(image_id) and image_id in sizes:
        size = sizes[image_id]
    else:
        yield "unknown-image", f"image_id is {image_id!r}"
    if not is_id(category_id) or category_id not in names:
        yield "unknown-category", f"category_id is {category_id!r}"
    elif category_names := names[category_id]:
        yield from _find_keypoint_faults(person, has_box, category_names, size)
    yield from _find_box_faults(person, has_box, size)


def _find_keypoint_faults(
    person: dict[str, Any], has_box: bool, names: list[str], size: Size | None
) -> Iterator[tuple[str, str]]:
    keypoints = person.get("keypoints")
    if not isinstance(keypoints, list) or len(keypoints) != 3 * len(names):
        held = f"{len(keypoints)} numbers" if isinstance(keypoints, list) else f"keypoints {keypoints!r}"
        yield "keypoint-count", f"{held} for {len(names)} keypoints, which need {3 * len(names)}"
        return
    if not are_numbers(keypoints):
        wrong = [i for i, value in enumerate(keypoints) if not is_number(value)]
        yield "keypoint-number", f"{names[wrong[0] // 3]} has {keypoints[wrong[0]]!r}{_count_more(wrong)}"
        return
    visibilities = keypoints[2::3]
    if not _VISIBILITIES.issuperset(visibilities):
        wrong = [i for i, value in enumerate(visibilities) if value not in _VISIBILITIES]
        yield "keypoint-visibility", f"{names[wrong[0]]} has {visibilities[wrong[0]]!r}{_count_more(wrong)}"
    count, num_labeled = person.get("num_keypoints"), count_labeled(keypoints)
    # CrowdPose leaves two keypoints out of the count. Training skips people whose count is zero.
    lowest = 1 if num_labeled > _NUM_UNCOUNTED else 0
    if not is_id(count) or not lowest <= count <= num_labeled:
        yield "num-keypoints", f"num_keypoints is {count!r}, labeled are {num_labeled}"
    outside = find_outside(keypoints, size) if size else []
    if outside:
        x, y = keypoints[3 * outside[0] : 3 * outside[0] + 2]
        words = f"{names[outside[0]]} at ({x}, {y}) in {size[0]} x {size[1]}" if size else ""
        yield "keypoint-outside", f"{words}{_count_more(outside)}"
    if has_box:
        yield from _compare_with_box(person["bbox"], keypoints, names)


def _compare_with_box(box: list[float], keypoints: list[float], names: list[str]) -> Iterator[tuple[str, str]]:
    """Yield problems of keypoints that the box shows."""
    x, y, width, height = box
    at_origin = find_at_origin(keypoints, box)
    if at_origin:
        yield "keypoint-origin", f"{names[at_origin[0]]}{_count_more(at_origin)}, bbox is {box}"
    count = count_labeled(keypoints) - len(at_origin)
    if width <= 0 or height <= 0 or count <= 0:
        return
    # Unlabeled keypoints are mostly zeros, so the sums give the center without a loop.
    px, py = sum(keypoints[0::3]) / count, sum(keypoints[1::3]) / count
    if x - width <= px <= x + 2 * width and y - height <= py <= y + 2 * height:
        return
    points = [(px, py) for px, py, v in split_points(keypoints) if v > 0 and (px or py)]
    sides = [
        max(x - px, px - x - width, y - py, py - y - height, 0) / max(width, height, _LEAST_BOX) for px, py in points
    ]
    if sides and statistics.median(sides) > 1:
        px, py = points[0]
        yield "keypoint-far", f"bbox is {box}, and a keypoint is at ({px:g}, {py:g})"


def find_at_origin(keypoints: list[float], box: list[float]) -> list[int]:
    """Return the indices of keypoints labeled at (0, 0), where other programs put unlabeled keypoints.

    Examples:
        >>> find_at_origin([0, 0, 2, 50, 60, 2], [40, 40, 20, 30]), find_at_origin([0, 0, 2], [0, 0, 20, 30])
        ([0], [])
    """
    xs = keypoints[0::3]
    if xs.count(0) <= keypoints[2::3].count(0) or not are_numbers(box, 4):
        return []
    margin = _ORIGIN_MARGIN * max(box[2], box[3])
    if box[0] <= margin and box[1] <= margin:
        return []
    return [index for index, (x, y, v) in enumerate(split_points(keypoints)) if v > 0 and x == 0 and y == 0]


def _find_box_faults(person: dict[str, Any], has_box: bool, size: Size | None) -> Iterator[tuple[str, str]]:
    box, area = person.get("bbox"), person.get("area")
    if area is not None and (not is_number(area) or area < 0):
        yield "area", f"area is {area!r}"
    if not has_box:
        yield "box-number", f"bbox is {box!r}"
        return
    x, y, width, height = box  # type: ignore[misc]  # a list of four numbers
    if width < 0 or height < 0:
        yield "box-inverted", f"bbox is {box}"
    elif width == 0 or height == 0:
        yield "box-empty", f"bbox is {box}"
    elif size and not (x < size[0] and y < size[1] and x + width > 0 and y + height > 0):
        yield "box-outside", f"bbox is {box} in {size[0]} x {size[1]}"


def count_labeled(keypoints: list[float]) -> int:
    """Return how many of K keypoints (3K numbers) have a visibility above zero."""
    return len(keypoints) // 3 - keypoints[2::3].count(0)


def count_labeled_people(coco: Coco) -> int:
    """Return how many annotations of a COCO file have a labeled keypoint and an image in the file."""
    sizes = list_sizes(coco)
    people = [each for each in list_entries(coco["annotations"], "image_id") if each["image_id"] in sizes]
    known = [each for each in people if isinstance(each.get("keypoints"), list)]
    return sum(any(type(v) in (int, float) and v > 0 for v in each["keypoints"][2::3]) for each in known)


def count_labeled_points(coco: Coco) -> tuple[int, int]:
    """Return the number of labeled keypoints of a COCO file, and how many of them lie outside their image.

    Keypoints at (0, 0), where other programs put unlabeled ones, do not count.
    """
    sizes, num_labeled, num_outside = list_sizes(coco), 0, 0
    for person in coco["annotations"]:
        keypoints = person.get("keypoints") if isinstance(person, dict) else None
        if are_numbers(keypoints) and keypoints and len(keypoints) % 3 == 0:
            size = sizes.get(person["image_id"]) if is_id(person.get("image_id")) else None
            num_labeled += sum(v > 0 and (x != 0 or y != 0) for x, y, v in split_points(keypoints))
            num_outside += len(find_outside(keypoints, size)) if size else 0
    return num_labeled, num_outside


def find_outside(keypoints: list[float], size_wh: Size) -> list[int]:
    """Return the indices of labeled keypoints outside an image; its borders are inside.

    Examples:
        >>> find_outside([0, 0, 2, 641, 5, 1, 900, 900, 0], (640, 480))
        [1]
    """
    xs, ys = keypoints[0::3], keypoints[1::3]
    width, height = size_wh
    if min(xs) >= 0 and min(ys) >= 0 and max(xs) <= width and max(ys) <= height:
        return []
    return [
        index
        for index, (x, y, v) in enumerate(split_points(keypoints))
        if v > 0 and not (0 <= x <= width and 0 <= y <= height)
    ]


def _count_more(indices: list[int]) -> str:
    return f", and {len(indices) - 1} more" if len(indices) > 1 else ""
