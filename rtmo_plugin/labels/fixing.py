"""Fix a COCO file: a copy in which the findings of a check are corrected or dropped where a remedy is known."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, count
from typing import Any, NamedTuple

from rtmo_plugin.keypoints.person_boxes import complete_box, estimate_area
from rtmo_plugin.labels.annotations import Size, count_labeled, find_at_origin, find_outside, list_sizes
from rtmo_plugin.labels.categories import list_bones
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.coco_files import SECTIONS, Coco, list_entries
from rtmo_plugin.labels.conventions import apply_reading
from rtmo_plugin.labels.image_inspection import ImageInspection
from rtmo_plugin.labels.json_values import are_numbers, is_id, is_number
from rtmo_plugin.labels.normalizing import normalize_coco
from rtmo_plugin.labels.problems import KINDS, Problem

Entry = dict[str, Any]
_VISIBLE_SHARE = 0.5  # lowest probability of a visible keypoint
_MAX_ROUNDS = 10  # one fix leads to the next: dropping an image orphans its people, ...


class Fixed(NamedTuple):
    """A cleaned COCO file.

    Attributes:
        coco: The copy; entries without a fault are shared with the original, which is not changed.
        changes: Number of entries that each kind of finding changed or dropped.
        remaining: Problems that need a decision by the user, as ``check_coco`` returns them.
    """

    coco: Coco
    changes: Mapping[str, int]
    remaining: dict[str, list[Problem]]


class _Context(NamedTuple):
    """Values that remedies need besides the entry.

    Attributes:
        sizes: (width, height) of each image by its id.
        inspections: Results of opening the images, by file name.
        new_ids: Ids that no annotation has.
        scales: Factor from coordinates to pixels by image id, where it is not 1.
    """

    sizes: dict[int, Size | None]
    inspections: Mapping[str, ImageInspection]
    new_ids: Iterator[int]
    scales: Mapping[int, float]


def fix_coco(
    coco: Coco,
    inspections: Mapping[str, ImageInspection] | None = None,
    problems: dict[str, list[Problem]] | None = None,
) -> Fixed:
    """Return a copy of a COCO file in which every finding with a remedy in ``KINDS`` is corrected.

    Fixing a fixed file changes nothing.

    Args:
        coco: Content of the file; not changed.
        inspections: Results of opening the images, by file name. Default: images are not judged.
        problems: Problems that ``check_coco`` found. Default: the file is checked here.
    """
    changes: Counter[str] = Counter()
    problems = check_coco(coco, inspections) if problems is None else problems
    coco, _ = normalize_coco(coco)
    for _ in range(_MAX_ROUNDS):
        todo = {kind: found for kind, found in problems.items() if KINDS[kind].remedy}
        todo = {kind: found for kind, found in todo.items() if KINDS[kind].is_first} or todo
        for name in ("image", "category"):
            if f"{name}-shift" in problems:  # the user must decide which ids are right
                todo.pop(f"unknown-{name}", None)
        if not todo:
            break
        changes.update({kind: len(found) for kind, found in todo.items()})
        coco = _apply(coco, todo, inspections or {})
        problems = check_coco(coco, inspections)
    return Fixed(coco, changes, problems)


def _apply(coco: Coco, problems: dict[str, list[Problem]], inspections: Mapping[str, ImageInspection]) -> Coco:
    """Return a copy of a normalized file after the remedy of each problem."""
    scales = _find_scales(coco, problems.get("image-size", []), inspections)
    used = [each["id"] for each in list_entries(coco["annotations"])]
    context = _Context(list_sizes(coco), inspections, count(max([0, *used]) + 1), scales)
    by_place: dict[tuple[str, int], list[Problem]] = defaultdict(list)
    for problem in chain.from_iterable(problems.values()):
        by_place[KINDS[problem.kind].section, problem.place].append(problem)
    sections = {}
    for section in SECTIONS:
        kept = enumerate(coco[section])
        treated = (_treat(entry, by_place.get((section, index), []), context) for index, entry in kept)
        sections[section] = [entry for entry in treated if entry is not None]
    if scales:
        sections["annotations"] = [_scale(entry, scales) for entry in sections["annotations"]]
    return {**coco, **sections}


def _treat(entry: Any, problems: list[Problem], context: _Context) -> Any:
    """Return an entry after its remedies; None if it is dropped."""
    for problem in problems:
        size_wh = context.sizes[entry["image_id"]] if problem.reading else None
        if size_wh:
            entry = apply_reading(entry, size_wh, problem.reading)
        elif not problem.kind.endswith("-form"):  # normalizing has converted these
            remedy = _REMEDIES.get(problem.kind)
            entry = remedy(entry, context) if remedy else None
        if entry is None:
            return None
    return entry


def _find_scales(coco: Coco, problems: list[Problem], inspections: Mapping[str, ImageInspection]) -> dict[int, float]:
    """Return the factor to the pixels of images that were resized after they were labeled.

    Both sides of such an image have the same factor. If a label is beyond its image, all labels are in the old pixels;
    otherwise only the sizes are wrong.
    """
    factors, sizes = {}, {}
    for problem in problems:
        image = coco["images"][problem.place]
        width, height = inspections[image["file_name"]].size_wh
        if is_id(image.get("width")) and is_id(image.get("height")) and min(image["width"], image["height"]) > 0:
            factor = width / image["width"]
            if abs(factor * image["height"] - height) <= 1 + 0.01 * height:
                factors[image["id"]], sizes[image["id"]] = factor, (width, height)
    people = [each for each in list_entries(coco["annotations"], "image_id") if each["image_id"] in sizes]
    judged = [each for each in people if are_numbers(each.get("keypoints"))]
    is_beyond = any(each["keypoints"] and find_outside(each["keypoints"], sizes[each["image_id"]]) for each in judged)
    return factors if is_beyond else {}


def _scale(entry: Entry, scales: Mapping[int, float]) -> Entry:
    """Return an annotation with coordinates in the pixels of its image, without its outline, which is not scaled."""
    factor = scales.get(entry["image_id"]) if is_id(entry.get("image_id")) else None
    if factor is None:
        return entry
    scaled = {key: value for key, value in entry.items() if key != "segmentation"}
    if are_numbers(entry.get("bbox"), 4):
        scaled["bbox"] = [value * factor for value in entry["bbox"]]
    if are_numbers(entry.get("keypoints")):
        keypoints = entry["keypoints"]
        scaled["keypoints"] = [value if place % 3 == 2 else value * factor for place, value in enumerate(keypoints)]
    if is_number(entry.get("area")):
        scaled["area"] = entry["area"] * factor**2
    return scaled


def _give_id(entry: Any, context: _Context) -> Entry | None:
    if not isinstance(entry, dict):
        return None
    return {**entry, "id": next(context.new_ids)}


def _unlabel(entry: Entry, indices: list[int]) -> Entry:
    keypoints = list(entry["keypoints"])
    for index in indices:
        keypoints[3 * index : 3 * index + 3] = (0, 0, 0)
    return _set_keypoints(entry, keypoints)


def _set_keypoints(entry: Entry, keypoints: list[float]) -> Entry:
    """Return the entry with other keypoints, and with ``num_keypoints`` at most the labeled ones."""
    given, num_labeled = entry.get("num_keypoints"), count_labeled(keypoints)
    return {
        **entry,
        "keypoints": keypoints,
        "num_keypoints": min(given, num_labeled) if is_id(given) else num_labeled,
    }


def _set_visibilities(entry: Entry, choose: Callable[[float], float]) -> Entry:
    keypoints = list(entry["keypoints"])
    keypoints[2::3] = map(choose, keypoints[2::3])
    return _set_keypoints(entry, keypoints)


def _turn_box(x: float, y: float, width: float, height: float) -> list[float]:
    return [min(x, x + width), min(y, y + height), abs(width), abs(height)]


def _draw_box(entry: Entry, context: _Context) -> Entry | None:
    """Draw the box around the labeled keypoints, or drop an entry without them."""
    keypoints = entry.get("keypoints")
    if not isinstance(keypoints, list) or not all(map(is_number, keypoints)):
        return None
    box = complete_box(None, keypoints, context.sizes.get(entry.get("image_id")))  # type: ignore[arg-type]
    return None if box is None else {**entry, "bbox": box}


def _mend_area(entry: Entry, context: _Context) -> Entry:
    box = entry.get("bbox")
    return {**entry, "area": abs(estimate_area(box)) if are_numbers(box, 4) else 0}  # type: ignore[arg-type]


# Remedies by kind of problem; an entry with a problem that is not here is dropped.
_REMEDIES: dict[str, Callable[[Any, _Context], Entry | None]] = {
    "category-skeleton": lambda entry, _: {**entry, "skeleton": list_bones(entry["skeleton"], len(entry["keypoints"]))},
    "image-elsewhere": lambda entry, context: {**entry, "file_name": context.inspections[entry["file_name"]].place},
    "image-turned": lambda entry, _: {**entry, "width": entry["height"], "height": entry["width"]},
    "image-size": lambda entry, context: {
        **entry,
        **dict(zip(("width", "height"), context.inspections[entry["file_name"]].size_wh)),
    },
    "annotation-broken": _give_id,
    "annotation-conflict": _give_id,
    "keypoint-number": lambda entry, _: _unlabel(
        entry, [place // 3 for place, value in enumerate(entry["keypoints"]) if not is_number(value)]
    ),
    "keypoint-visibility": lambda entry, _: _set_visibilities(entry, lambda v: v if v in (0, 1, 2) else 2 * (v > 0)),
    "keypoint-outside": lambda entry, context: _unlabel(
        entry,
        find_outside(entry["keypoints"], context.sizes[entry["image_id"]]),  # type: ignore[arg-type]  # it was found
    ),
    "keypoint-origin": lambda entry, _: _unlabel(entry, find_at_origin(entry["keypoints"], entry["bbox"])),
    "visibility-share": lambda entry, _: _set_visibilities(entry, lambda v: 2 * (v >= _VISIBLE_SHARE)),
    "visibility-never-2": lambda entry, _: _set_visibilities(entry, lambda v: 2 * (v > 0)),
    "num-keypoints": lambda entry, _: {**entry, "num_keypoints": count_labeled(entry["keypoints"])},
    "box-number": _draw_box,
    "box-inverted": lambda entry, _: {**entry, "bbox": _turn_box(*entry["bbox"])},
    "box-empty": _draw_box,
    "area": _mend_area,
    "area-size": _mend_area,
}
