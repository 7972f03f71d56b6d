"""Labels in another convention than COCO's: valid numbers with another meaning.

Boxes as two corners or around a center, x and y exchanged, keypoints relative to the corner of their box, numbers
that are fractions or percent of the image, visibility 0 and 1 or a probability: a whole file is in such a
convention, so it is decided over all its people, and only if COCO's reading is contradicted. Keypoints tell: in the
right reading they lie in their boxes, and boxes in their images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from rtmo_plugin.labels.annotations import Size
from rtmo_plugin.labels.coco_files import Coco, list_entries, split_points
from rtmo_plugin.labels.json_values import are_numbers, is_id
from rtmo_plugin.labels.problems import Problem

Entry = dict[str, Any]
Numbers = list[float]
_MARGIN = 0.25  # share of a box's longer side by which keypoints may lie outside; 3 % of COCO's people have such
_IMAGE_MARGIN = 0.025  # share of an image's longer side by which boxes may lie outside
_MIN_SHARE = 0.85  # share of the people that the other reading must fit
_TURNED = 0.1  # share of a side by which labels are beyond it in an image whose sides are exchanged
_MIN_POINTS = 3
_FEW = 5  # people; fewer may fit another reading by accident
_MIN_CONTRADICTED = 0.1  # share of the people that COCO's reading does not fit
_MIN_PEOPLE = 10  # lowest number of people that can show percent
_SAMPLE = 2_000
_PERCENT = 100
_MIN_SIDE = 300  # pixels; in larger images numbers up to 100 may be percent


class _Case(NamedTuple):
    """An annotation with usable numbers."""

    box: Numbers
    keypoints: Numbers
    size_wh: Size
    is_crowd: bool
    image_id: int


def _move(keypoints: Numbers, box: Numbers) -> Numbers:
    moved = list(keypoints)
    for place in range(0, len(moved), 3):
        if moved[place + 2] > 0:
            moved[place] += box[0]
            moved[place + 1] += box[1]
    return moved


# Functions from box and keypoints in each convention to COCO's, and a description.
_READINGS: dict[str, tuple[Callable[[Numbers, Numbers], tuple[Numbers, Numbers]], str]] = {
    "corners": (lambda b, k: ([b[0], b[1], b[2] - b[0], b[3] - b[1]], k), "two corners (x1, y1, x2, y2)"),
    "center": (lambda b, k: ([b[0] - b[2] / 2, b[1] - b[3] / 2, b[2], b[3]], k), "center, width and height"),
    "corners, y first": (lambda b, k: ([b[1], b[0], b[3] - b[1], b[2] - b[0]], k), "two corners (y1, x1, y2, x2)"),
    "y first": (lambda b, k: ([b[1], b[0], b[3], b[2]], k), "y, x, height and width"),
    "keypoints, y first": (
        lambda b, k: (b, [n for x, y, v in split_points(k) for n in (y, x, v)]),
        "right, but keypoints y before x",
    ),
    "keypoints in box": (lambda b, k: (b, _move(k, b)), "right, but keypoints relative to its corner"),
}


def _scale(parts: str, whole: int, box: Numbers, keypoints: Numbers, size_wh: Size) -> tuple[Numbers, Numbers]:
    width, height = size_wh[0] / whole, size_wh[1] / whole
    if "bbox" in parts:
        box = [box[0] * width, box[1] * height, box[2] * width, box[3] * height]
    if "keypoints" in parts:
        keypoints = list(keypoints)
        keypoints[0::3] = [x * width for x in keypoints[0::3]]
        keypoints[1::3] = [y * height for y in keypoints[1::3]]
    return box, keypoints


# Functions from numbers that are not pixels to pixels, by their unit.
_SCALES: dict[str, Callable[[Numbers, Numbers, Size], tuple[Numbers, Numbers]]] = {
    f"{parts} are {unit}": partial(_scale, parts, whole)
    for parts in ("bbox", "keypoints", "bbox and keypoints")
    for unit, whole in (("shares of the image", 1), ("percent", _PERCENT))
}


def find_conventions(coco: Coco, sizes: Mapping[int, Size | None], are_sizes_known: bool = False) -> Iterator[Problem]:
    """Yield the annotations of a COCO file that is in another convention, and images with exchanged sizes.

    Args:
        coco: Normalized content of the file.
        sizes: Image width and height by image id (see ``list_sizes``).
        are_sizes_known: Whether the images were opened, so that wrong sizes are found there.
    """
    cases = {}
    for index, person in enumerate(coco["annotations"]):
        if not isinstance(person, dict) or not is_id(person.get("image_id")):
            continue
        size, box, keypoints = sizes.get(person["image_id"]), person.get("bbox"), person.get("keypoints")
        if size and are_numbers(box, 4) and are_numbers(keypoints) and keypoints and len(keypoints) % 3 == 0:
            cases[index] = _Case(box, keypoints, size, bool(person.get("iscrowd")), person["image_id"])  # type: ignore[arg-type]
    others = list(_find_shares(cases)) or list(_find_readings(cases))
    yield from others
    yield from _find_visibilities(cases)
    if not others and not are_sizes_known:
        yield from _find_turned(coco, cases)


def find_shift(coco: Coco, section: str, key: str) -> Iterator[Problem]:
    """Yield all annotations if all their references are one more, or one less, than existing ids.

    Args:
        coco: Normalized content of the file.
        section: ``images`` or ``categories``.
        key: Key of the reference in annotations.
    """
    ids = {each["id"] for each in list_entries(coco[section])}
    given = {each[key] for each in list_entries(coco["annotations"], key)}
    if given <= ids or len(given) < 2:
        return
    for step in (1, -1):
        if {value - step for value in given} <= ids and ids.isdisjoint({(min if step > 0 else max)(ids)} & given):
            for index, person in enumerate(coco["annotations"]):
                person_id = person.get("id") if isinstance(person, dict) else None
                text = f"annotation {person_id!r}: {key} is {person.get(key) if isinstance(person, dict) else None!r}"
                words = f"{text}, and {section} are numbered {min(ids)} to {max(ids)}"
                yield Problem(f"{key.removesuffix('_id')}-shift", index, words)
            return


def apply_reading(person: Entry, size_wh: Size, reading: str) -> Entry:
    """Return an annotation in COCO's convention.

    Args:
        person: Annotation.
        size_wh: Width and height of its image.
        reading: Name of the convention, from the ``Problem``.
    """
    box, keypoints = person["bbox"], person["keypoints"]
    if reading in _READINGS:
        box, keypoints = _READINGS[reading][0](box, keypoints)
    else:
        box, keypoints = _SCALES[reading](box, keypoints, size_wh)
    return {**person, "bbox": box, "keypoints": keypoints}


def _find_turned(coco: Coco, cases: dict[int, _Case]) -> Iterator[Problem]:
    """Yield images whose width and height seem exchanged: labels are far beyond one side, but fit exchanged ones."""
    people = [case for case in cases.values() if not case.is_crowd]
    candidates = set()
    for case in people:  # a label is far beyond the right or the lower side of its image
        x, y, width, height = case.box
        most_x, most_y = max(x + width, *case.keypoints[0::3]), max(y + height, *case.keypoints[1::3])
        if most_x > (1 + _TURNED) * case.size_wh[0] or most_y > (1 + _TURNED) * case.size_wh[1]:
            candidates.add(case.image_id)
    corners: dict[int, list[tuple[float, float]]] = {image_id: [] for image_id in candidates}
    for case in people if candidates else ():
        if case.image_id in candidates:
            x, y, width, height = case.box
            corners[case.image_id] += [(x, y), (x + width, y + height), *_list_points(case.keypoints)]
    for index, image in enumerate(coco["images"]) if candidates else ():
        image_id = image.get("id") if isinstance(image, dict) else None
        if not is_id(image_id) or image_id not in candidates:
            continue
        width, height = image["width"], image["height"]
        xs, ys = zip(*corners[image_id])
        if max(xs) <= height + 1 and max(ys) <= width + 1 and min(*xs, *ys) >= -1:
            where = f"labels reach ({max(xs):g}, {max(ys):g}) in {width} x {height}"
            yield Problem("image-turned", index, f"image {image_id} ({image.get('file_name')}): {where}")


def _list_points(keypoints: Numbers) -> list[tuple[float, float]]:
    return [(x, y) for x, y, v in split_points(keypoints) if v > 0]


def _find_shares(cases: dict[int, _Case]) -> Iterator[Problem]:
    """Yield people whose boxes or keypoints are shares or percent of the image, or all people of such a file."""
    sample = list(cases.values())[:: max(1, len(cases) // _SAMPLE)]
    values = {
        "bbox": [value for case in sample if any(case.box) for value in case.box],
        "keypoints": [value for case in sample for point in _list_points(case.keypoints) for value in point],
    }
    parts, unit = [name for name, found in values.items() if _are_within(found, 1)], "shares of the image"
    parts = parts if any(value not in (0, 1) for name in parts for value in values[name]) else []
    if not parts and _are_percent(sample, values["bbox"] + values["keypoints"]):
        parts, unit = ["bbox", "keypoints"], "percent"
    for index, case in cases.items():
        own = parts or (["bbox", "keypoints"] if _is_share(case) else [])
        if own:
            example = f"bbox {case.box}" if "bbox" in own else f"keypoints {case.keypoints[:3]}"
            width, height = case.size_wh
            reading = f"{' and '.join(own)} are {unit}"
            words = f"{example} in {width} x {height}: {reading}"
            yield Problem("share-numbers", index, f"annotations[{index}]: {words}", reading)


def _is_share(case: _Case) -> bool:
    """Whether a person in pixels would be as small as one pixel."""
    if max(case.box) > 1 or min(case.box) < 0 or case.box[2] in (0, 1):
        return False
    values = [value for point in _list_points(case.keypoints) for value in point]
    return len(values) > _MIN_POINTS and _are_within(values, 1)


def _are_within(values: Numbers, highest: float) -> bool:
    """Whether values are between 0 and ``highest``, except for a few people beyond the border of their image."""
    inside = sum(0 <= value <= highest for value in values)
    return bool(values) and inside >= 0.99 * len(values) and max(map(abs, values)) <= 2 * highest


def _are_percent(cases: list[_Case], values: Numbers) -> bool:
    """Whether the numbers of many people in large images reach 100, and no further."""
    num_large = sum(min(case.size_wh) > _MIN_SIDE for case in cases)
    if len(cases) < _MIN_PEOPLE or num_large < 0.8 * len(cases) or not _are_within(values, _PERCENT):
        return False
    edges = [case.box[0] + case.box[2] for case in cases]
    return max(edges) > 0.9 * _PERCENT and _are_within(edges, 1.01 * _PERCENT)


def _find_readings(cases: dict[int, _Case]) -> Iterator[Problem]:
    """Yield people whose boxes or keypoints are in another convention."""
    people = [case for case in cases.values() if not case.is_crowd]
    people = people[:: max(1, len(people) // _SAMPLE)]
    judged = [case for case in people if len(set(_list_points(case.keypoints))) > 1]
    if sum(len(set(_list_points(case.keypoints))) for case in judged) < _MIN_POINTS:
        return
    wrong = [case for case in judged if not _fits(case.box, case.keypoints, case.size_wh)]
    if not wrong or len(wrong) < _MIN_CONTRADICTED * len(judged):
        return
    is_strict = len(judged) < _FEW
    fitting = {}
    for name, (read, _) in _READINGS.items():
        read_cases = [(*read(case.box, case.keypoints), case.size_wh) for case in wrong]
        if sum(_fits(*each, is_strict) for each in read_cases) < _MIN_SHARE * len(wrong):
            continue
        all_cases = [(*read(case.box, case.keypoints), case.size_wh) for case in judged]
        if sum(_fits(*each, is_strict) for each in all_cases) >= _MIN_SHARE * len(judged):
            fitting[name] = 0.0  # how much larger the boxes are than the spans of their keypoints, as shares
            for box, keypoints, _ in all_cases:
                (left, right), (top, bottom) = ((min(each), max(each)) for each in zip(*_list_points(keypoints)))
                has_area = box[2] and box[3]
                fitting[name] += 2 - (right - left) / box[2] - (bottom - top) / box[3] if has_area else 2.0
    if fitting:
        name = min(fitting, key=fitting.__getitem__)
        for index, case in cases.items():
            words = f"bbox is {case.box}, which is {_READINGS[name][1]} ({name})"
            yield Problem("box-convention", index, f"annotations[{index}]: {words}", name)


def _fits(box: Numbers, keypoints: Numbers, size_wh: Size, is_strict: bool = False) -> bool:
    """Whether a box has an area and lies in its image, and the labeled keypoints lie in the box.

    Args:
        box: Box (x, y, width, height).
        keypoints: 3K numbers.
        size_wh: Width and height of the image.
        is_strict: Whether the margin across a narrow box is narrow too.
    """
    x, y, width, height = box
    if width <= 0 or height <= 0:
        return False
    slack = _IMAGE_MARGIN * max(size_wh) + 1
    if x < -slack or y < -slack or x + width > size_wh[0] + slack or y + height > size_wh[1] + slack:
        return False
    longer = max(width, height)
    margin_x, margin_y = (_MARGIN * (side if is_strict else longer) + 1 for side in (width, height))
    left, top, right, bottom = x - margin_x, y - margin_y, x + width + margin_x, y + height + margin_y
    return all(left <= px <= right and top <= py <= bottom for px, py in _list_points(keypoints))


def _find_visibilities(cases: dict[int, _Case]) -> Iterator[Problem]:
    """Yield people with visibilities in another convention: probabilities, 0 and 1 only, or 0 despite coordinates."""
    flags = {index: case.keypoints[2::3] for index, case in cases.items()}
    found = {value for values in flags.values() for value in values}
    if any(0 < value < 1 for value in found) and max(found) <= 1:
        for index, values in flags.items():
            yield Problem(
                "visibility-share", index, f"annotations[{index}]: {[round(value, 3) for value in values[:5]]}"
            )
    elif found <= {0, 1} and sum(values.count(1) for values in flags.values()) >= _MIN_POINTS:
        for index, values in flags.items():
            if 1 in values:
                yield Problem("visibility-never-2", index, f"annotations[{index}]: {values.count(1)} keypoints")
    elif found == {0}:
        for index, case in cases.items():
            if any(case.keypoints):
                yield Problem("visibility-none", index, f"annotations[{index}]: keypoints {case.keypoints[:6]}")
