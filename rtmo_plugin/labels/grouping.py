"""Points and boxes of an image to people: by their groups, and without a group by the box that holds a point.

Labeling tools such as LabelMe, Label Studio and VIA know shapes and not people. Shapes of one group are one person. A
point without a group goes to the smallest box that holds it and lacks its keypoint, or, outside of all boxes, to the
nearest one; without boxes such points are one person. Choices among several boxes are counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rtmo_plugin.errors import DataError
from rtmo_plugin.labels.json_values import is_id
from rtmo_plugin.labels.label_set import LabeledImage, LabelSet, Person, Point, ReadOptions

_DEFAULT_CATEGORY = "person"
_NOTES = {
    "held": "Points without a group, taken for the box that holds them",
    "shared": "Points without a group in several boxes, taken for the smallest one",
    "outside": "Points without a group outside of all boxes, taken for the nearest one",
}


class Shape(NamedTuple):
    """Point or box of an image.

    Attributes:
        label: Name of the keypoint or, for a box, of the category.
        place: Point (x, y) or box (x, y, width, height) in pixels.
        group: Group that the tool gives it; None without one.
        visibility: COCO's visibility of a point, 1 or 2.
    """

    label: str
    place: Sequence[float]
    group: Any = None
    visibility: int = 2


class ShapedImage(NamedTuple):
    """Image with its shapes.

    Attributes:
        size_wh: Width and height in pixels.
        shapes: Points and boxes, in the order of the file.
        origin: File, and place in it, for messages.
    """

    size_wh: tuple[int, int]
    shapes: list[Shape]
    origin: str


@dataclass
class _Group:
    """Shapes of one person."""

    key: Any = None
    box: Shape | None = None
    points: dict[str, Shape] = field(default_factory=dict)


def gather_people(
    images: Mapping[str, ShapedImage],
    options: ReadOptions,
    group_word: str = "group",
    category: str = _DEFAULT_CATEGORY,
) -> LabelSet:
    """Return the labels of images whose shapes become people.

    Args:
        images: Images with their shapes by file name.
        options: Keypoint names, if they were given.
        group_word: Name of a group in the tool, for messages.
        category: Category of people without a box, if no box names one.

    Raises:
        DataError: A person has two boxes or a point twice, or a point is not one of the keypoints.
    """
    counts: Counter[str] = Counter()
    groups = {name: _group_shapes(image, group_word, counts) for name, image in images.items()}
    everybody = [group for members in groups.values() for group in members]
    keypoints = share_keypoints([(group.box, group.points) for group in everybody], options, category)
    labeled = {}
    for name, image in images.items():
        people = [_make_person(group, keypoints, image.origin) for group in groups[name]]
        labeled[name] = LabeledImage(*image.size_wh, people)
    notes = [f"{words}: {counts[kind]:,}." for kind, words in _NOTES.items() if counts[kind]]
    return LabelSet({name: {"keypoints": names} for name, names in keypoints.items()}, labeled, notes)


def share_keypoints(
    people: Iterable[tuple[Shape | None, Iterable[str]]], options: ReadOptions, category: str = _DEFAULT_CATEGORY
) -> dict[str, list[str]]:
    """Return the keypoint names by category, in the order of the points.

    Categories that share a keypoint share all of them. A person without a box is of the first category.

    Args:
        people: Box, which names the category, and names of the labeled keypoints of each person.
        options: Keypoint names, if they were given.
        category: Name of the category if no box has one.

    Raises:
        DataError: Two names differ only in upper and lower case, and no names were given.
    """
    pairs = [(box.label if box else None, list(names)) for box, names in people]
    given = list(options.keypoints) if isinstance(options.keypoints, Mapping) else []
    categories = list(dict.fromkeys([*given, *(label for label, _ in pairs if label)])) or [category]
    found: dict[str, dict[str, None]] = {name: {} for name in categories}
    for label, names in pairs:
        found[label or categories[0]].update(dict.fromkeys(names))
    shared = {}
    for name, own in found.items():
        alike = [other for other in found.values() if not own or not own.keys().isdisjoint(other)]
        shared[name] = list(dict.fromkeys(each for other in alike for each in other))
    if options.keypoints is None:
        spellings: dict[str, str] = {}
        for name in dict.fromkeys(name for names in shared.values() for name in names):
            first = spellings.setdefault(name.casefold(), name)
            if first != name:
                raise DataError(
                    f"The points {first!r} and {name!r} differ only in upper and lower case: "
                    "give both one name, or name the keypoints with --keypoints."
                )
    return {name: options.choose_keypoints(name, names) for name, names in shared.items()}


def _group_shapes(image: ShapedImage, word: str, counts: Counter[str]) -> list[_Group]:
    """Return the shapes by person, and count the points that a place and not a group decides."""
    people: list[_Group] = []
    groups: dict[Any, _Group] = {}
    loose: list[Shape] = []
    for shape in image.shapes:
        is_box = len(shape.place) == 4
        if shape.group is None and not is_box:
            loose.append(shape)
            continue
        group = groups.get(shape.group) if shape.group is not None else None
        if group is None:
            group = groups[shape.group] = _Group(shape.group)
            people.append(group)
        is_second = group.box is not None if is_box else shape.label in group.points
        _refuse_second(is_second, shape, image, word)
        if is_box:
            group.box = shape
        else:
            group.points[shape.label] = shape
    boxed = [group for group in people if group.box is not None]
    if loose and not boxed:
        people.append(_Group())
    pairs = [(shape, [group for group in boxed if not _measure_distance(shape, group)]) for shape in loose]
    for shape, holders in sorted(pairs, key=lambda pair: len(pair[1]) or len(boxed)):  # the certain ones first
        chosen = _choose_group(shape, holders, boxed, counts) if boxed else people[-1]
        _refuse_second(chosen is None or shape.label in chosen.points, shape, image, word)
        chosen.points[shape.label] = shape  # type: ignore[union-attr]  # refused above
    return people


def _refuse_second(is_second: bool, shape: Shape, image: ShapedImage, word: str) -> None:
    if is_second:
        kind = "rectangle" if len(shape.place) == 4 else "point"
        advice = f"{word}{' or a box' if shape.group is None else ''}"
        raise DataError(
            f"{image.origin}: {word} {shape.group!r} has {kind} {shape.label!r} more than once: "
            f"give each person a {advice}."
        )


def _measure_distance(shape: Shape, group: _Group) -> float:
    """Return the distance of a point from a person's box in pixels; 0 within it."""
    assert group.box is not None
    (px, py), (x, y, width, height) = shape.place, group.box.place
    return math.hypot(max(x - px, px - x - width, 0.0), max(y - py, py - y - height, 0.0))


def _choose_group(shape: Shape, holders: list[_Group], boxed: list[_Group], counts: Counter[str]) -> _Group | None:
    """Return the person that a point without a group belongs to, or None if all have that keypoint."""
    free = [group for group in holders if shape.label not in group.points]
    if free:
        counts["held" if len(holders) == 1 else "shared"] += len(boxed) > 1
        return min(free, key=lambda group: group.box.place[2] * group.box.place[3])  # type: ignore[union-attr]
    others = [group for group in boxed if shape.label not in group.points]
    counts["outside"] += len(boxed) > 1 and bool(others)
    return min(others, key=lambda group: _measure_distance(shape, group), default=None)


def _make_person(group: _Group, keypoints: dict[str, list[str]], origin: str) -> Person:
    category = group.box.label if group.box else next(iter(keypoints))
    names = keypoints[category]
    unknown = [label for label in group.points if label not in names]
    if unknown:
        raise DataError(f"{origin}: the point {unknown[0]!r} is not one of the keypoints of {category!r}.")
    points: dict[str, Point] = {
        label: (shape.place[0], shape.place[1], shape.visibility) for label, shape in group.points.items()
    }
    box = list(group.box.place) if group.box else None
    ordered = [points.get(name, (0, 0, 0)) for name in names]
    return Person.from_points(category, box, ordered, group.key if is_id(group.key) else None)
