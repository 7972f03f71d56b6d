"""People of a COCO file: keypoints and boxes, one annotation at a time.

A file of COCO's size holds 262,000 of them, so the common case of each question is a few built-in
calls over plain lists; turning these into arrays first would take longer than asking.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rtmo_plugin.labels.categories import find_name_fault, is_category
from rtmo_plugin.labels.files import Coco
from rtmo_plugin.labels.kinds import Problem
from rtmo_plugin.labels.numbers import are_numbers, is_id, is_number

_VISIBILITIES = {0, 1, 2}
_NUM_UNCOUNTED = 2
Size = tuple[int, int]


def find_in_people(coco: Coco) -> Iterator[Problem]:
    """Yield what is wrong with the annotations of a COCO file, but for repeated ids."""
    sizes, names = list_sizes(coco), list_names(coco)
    for index, person in enumerate(coco["annotations"]):
        if not isinstance(person, dict) or not is_id(person.get("id")):
            fault = f"id is {person.get('id')!r}" if isinstance(person, dict) else f"a {type(person).__name__}"
            yield Problem("annotation-broken", index, f"annotations[{index}]: {fault}")
            continue
        for kind, fault in _find_faults(person, sizes, names):
            yield Problem(kind, index, f"annotation {person['id']} (image {person.get('image_id')!r}): {fault}")


def list_sizes(coco: Coco) -> dict[int, Size | None]:
    """Return (width, height) of each image by its id; None where the entry has no usable size."""
    entries = [entry for entry in coco["images"] if isinstance(entry, dict) and is_id(entry.get("id"))]
    sides = {entry["id"]: (entry.get("width"), entry.get("height")) for entry in entries}
    return {key: wh if all(is_number(side) for side in wh) else None for key, wh in sides.items()}  # type: ignore[misc]


def list_names(coco: Coco) -> dict[int, list[str] | None]:
    """Return the keypoint names of each category by its id; None where they are not usable."""
    entries = [entry for entry in coco["categories"] if is_category(entry)]
    return {entry["id"]: None if find_name_fault(entry.get("keypoints")) else entry["keypoints"] for entry in entries}


def _find_faults(
    person: dict[str, Any], sizes: dict[int, Size | None], names: dict[int, list[str] | None]
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
        yield from _find_keypoint_faults(person, category_names, size)
    yield from _find_box_faults(person, size)


def _find_keypoint_faults(person: dict[str, Any], names: list[str], size: Size | None) -> Iterator[tuple[str, str]]:
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
    count, num_labelled = person.get("num_keypoints"), count_labelled(keypoints)
    if not _is_count(count, num_labelled):
        yield "num-keypoints", f"num_keypoints is {count!r}, labelled are {num_labelled}"
    outside = find_outside(keypoints, size) if size else []
    if outside:
        x, y = keypoints[3 * outside[0] : 3 * outside[0] + 2]
        words = f"{names[outside[0]]} at ({x}, {y}) in {size[0]} x {size[1]}" if size else ""
        yield "keypoint-outside", f"{words}{_count_more(outside)}"


def _find_box_faults(person: dict[str, Any], size: Size | None) -> Iterator[tuple[str, str]]:
    box, area = person.get("bbox"), person.get("area", 0)
    if not is_number(area) or area < 0:
        yield "area", f"area is {area!r}"
    if not are_numbers(box, 4):
        yield "box-number", f"bbox is {box!r}"
        return
    x, y, width, height = box  # type: ignore[misc]  # are_numbers says that it is a list
    if width < 0 or height < 0:
        yield "box-inverted", f"bbox is {box}"
    elif width == 0 or height == 0:
        yield "box-empty", f"bbox is {box}"
    elif size and not (x < size[0] and y < size[1] and x + width > 0 and y + height > 0):
        yield "box-outside", f"bbox is {box} in {size[0]} x {size[1]}"


def count_labelled(keypoints: list[float]) -> int:
    """Return how many of K keypoints (3K numbers) have a visibility above zero."""
    return len(keypoints) // 3 - keypoints[2::3].count(0)


def _is_count(num_keypoints: Any, num_labelled: int) -> bool:
    """Whether ``num_keypoints`` can be true.

    Fewer than are labelled is no fault, because CrowdPose leaves head and neck out of the count; but
    training skips a person whose count is zero, so that with more than these two it is one.
    """
    lowest = 1 if num_labelled > _NUM_UNCOUNTED else 0
    return is_id(num_keypoints) and lowest <= num_keypoints <= num_labelled


def find_outside(keypoints: list[float], size_wh: Size) -> list[int]:
    """Return the indices of labelled keypoints outside an image, whose borders belong to it.

    Example:
        >>> find_outside([0, 0, 2, 641, 5, 1, 900, 900, 0], (640, 480))
        [1]
    """
    xs, ys = keypoints[0::3], keypoints[1::3]
    width, height = size_wh
    if min(xs) >= 0 and min(ys) >= 0 and max(xs) <= width and max(ys) <= height:
        return []
    triples = zip(xs, ys, keypoints[2::3])
    return [i for i, (x, y, v) in enumerate(triples) if v > 0 and not (0 <= x <= width and 0 <= y <= height)]


def _count_more(indices: list[int]) -> str:
    return f", and {len(indices) - 1} more" if len(indices) > 1 else ""
