"""What people are in every format: a category, a box, K keypoints; and numbers that survive a division."""

from __future__ import annotations

from itertools import count
from typing import Any

from rtmo_plugin.labels.fixing import span_box
from rtmo_plugin.labels.numbers import is_id
from rtmo_plugin.labels.people import count_labelled

Point = tuple[float, float, int]
_DECIMALS = 10


def tidy(value: float) -> float:
    """Return a coordinate without the noise of arithmetic, and whole where it is.

    Example:
        >>> tidy(0.1 + 0.2), tidy(7.0)
        (0.3, 7)
    """
    rounded = round(float(value), _DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded


def make_person(category: str, box: list[float] | None, points: list[Point], **fields: Any) -> dict[str, Any]:
    """Return a person as COCO has it, with what follows from box and points.

    Args:
        category: Its name.
        box: [x, y, width, height]; None draws it around the labelled points.
        points: K times (x, y, visibility).
        fields: What else is known.
    """
    keypoints = [tidy(number) for point in points for number in point]
    bbox = [tidy(number) for number in box or span_labelled(keypoints)]
    return {
        "category": category, "bbox": bbox, "keypoints": keypoints, "num_keypoints": count_labelled(keypoints),
        "area": tidy(bbox[2] * bbox[3]), "iscrowd": 0, **fields,
    }  # fmt: skip


def list_points(person: dict[str, Any]) -> list[Point]:
    """Return the K points (x, y, visibility) of a person."""
    keypoints = person["keypoints"]
    return list(zip(keypoints[0::3], keypoints[1::3], keypoints[2::3]))


def span_labelled(keypoints: list[float]) -> list[float]:
    """Return the box around the labelled keypoints; zeros where there are none."""
    triples = zip(keypoints[0::3], keypoints[1::3], keypoints[2::3])
    return [tidy(number) for number in span_box([(x, y) for x, y, v in triples if v > 0])]


def needs_box(person: dict[str, Any]) -> bool:
    """Whether a format with drawn shapes must draw the box, because the keypoints do not tell it."""
    is_spanned = count_labelled(person["keypoints"]) > 0 and person["bbox"] == span_labelled(person["keypoints"])
    return "group_id" not in person or not is_spanned


def number_groups(people: list[dict[str, Any]], lowest: int, num_alone: int) -> list[int | None]:
    """Return the number that joins the shapes of each person: their own where they have one, else a free one.

    Args:
        people: Of one image.
        lowest: The lowest number that the format can hold.
        num_alone: How many people may go without a number, as they came.
    """
    own = [person.get("group_id") for person in people]
    usable = [group if is_id(group) and group >= lowest and own.count(group) == 1 else None for group in own]
    is_alone = ["group_id" in person and group is None and not needs_box(person) for person, group in zip(people, own)]
    if sum(is_alone) > num_alone:
        is_alone = [False] * len(people)
    free = count(max([lowest - 1, *(group for group in usable if group is not None)]) + 1)
    return [None if alone else next(free) if group is None else group for alone, group in zip(is_alone, usable)]
