"""Clean a COCO file: a copy without what a check found, as far as that can be put right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from rtmo_plugin.labels.categories import is_bone
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.files import SECTIONS, Coco
from rtmo_plugin.labels.kinds import KINDS, Problem
from rtmo_plugin.labels.numbers import is_id, is_number
from rtmo_plugin.labels.people import Size, count_labelled, find_outside, list_sizes
from rtmo_plugin.labels.pictures import Picture

Entry = dict[str, Any]
_MAX_ROUNDS = 10  # dropping an image orphans its people, a keypoint less needs a new count, ...


class Fixed(NamedTuple):
    """A cleaned COCO file.

    Attributes:
        coco: The copy; entries without a fault are shared with the original, which is not changed.
        changes: Number of entries that each kind of finding changed or dropped.
        remaining: What is left to a person, as ``check_coco`` returns it.
    """

    coco: Coco
    changes: Mapping[str, int]
    remaining: dict[str, list[Problem]]


class _Context(NamedTuple):
    """What remedies need besides the entry."""

    sizes: dict[int, Size | None]
    pictures: Mapping[str, Picture]
    new_ids: Iterator[int]


def fix_coco(
    coco: Coco, pictures: Mapping[str, Picture] | None = None, problems: dict[str, list[Problem]] | None = None
) -> Fixed:
    """Return a copy of a COCO file with everything put right for which ``KINDS`` names a remedy.

    Fixing a fixed file changes nothing.

    Args:
        coco: What ``read_coco`` returned; stays as it is.
        pictures: As for ``check_coco``.
        problems: What ``check_coco`` found in them, if that is known already.
    """
    changes: Counter[str] = Counter()
    problems = check_coco(coco, pictures) if problems is None else problems
    for _ in range(_MAX_ROUNDS):
        todo = {kind: found for kind, found in problems.items() if KINDS[kind].remedy}
        if not todo:
            break
        changes.update({kind: len(found) for kind, found in todo.items()})
        coco = _apply(coco, todo, pictures or {})
        problems = check_coco(coco, pictures)
    return Fixed(coco, changes, problems)


def _apply(coco: Coco, problems: dict[str, list[Problem]], pictures: Mapping[str, Picture]) -> Coco:
    """Return a copy in which each problem met its remedy once."""
    context = _Context(list_sizes(coco), pictures, _count_ids(coco["annotations"]))
    kinds_by_place: dict[tuple[str, int], list[str]] = defaultdict(list)
    for problem in chain.from_iterable(problems.values()):
        kinds_by_place[KINDS[problem.kind].section, problem.place].append(problem.kind)
    sections = {}
    for section in SECTIONS:
        kept = enumerate(coco[section])
        treated = (_treat(entry, kinds_by_place.get((section, index), []), context) for index, entry in kept)
        sections[section] = [entry for entry in treated if entry is not None]
    return {**coco, **sections}


def _treat(entry: Any, kinds: list[str], context: _Context) -> Any:
    """Return an entry after all its remedies; None where it is dropped."""
    for kind in kinds:
        entry = _REMEDIES.get(kind, _drop)(entry, context)
        if entry is None:
            return None
    return entry


def _count_ids(annotations: list[Any]) -> Iterator[int]:
    """Yield ids that no annotation has."""
    used = [entry["id"] for entry in annotations if isinstance(entry, dict) and is_id(entry.get("id"))]
    last = max(used, default=0)
    while True:
        last += 1
        yield last


def _drop(entry: Entry, context: _Context) -> None:
    return None


def _drop_bones(entry: Entry, context: _Context) -> Entry:
    skeleton, count = entry["skeleton"], len(entry["keypoints"])
    kept = [bone for bone in skeleton if is_bone(bone, count)] if isinstance(skeleton, list) else []
    return {**entry, "skeleton": kept}


def _take_size(entry: Entry, context: _Context) -> Entry:
    width, height = context.pictures[entry["file_name"]].size_wh
    return {**entry, "width": width, "height": height}


def _give_id(entry: Entry, context: _Context) -> Entry:
    return {**entry, "id": next(context.new_ids)}


def _unlabel(entry: Entry, indices: list[int]) -> Entry:
    keypoints = list(entry["keypoints"])
    for index in indices:
        keypoints[3 * index : 3 * index + 3] = (0, 0, 0)
    return _set_keypoints(entry, keypoints)


def _set_keypoints(entry: Entry, keypoints: list[float]) -> Entry:
    """Return the entry with other keypoints, and no higher count than are labelled."""
    count, num_labelled = entry.get("num_keypoints"), count_labelled(keypoints)
    return {
        **entry,
        "keypoints": keypoints,
        "num_keypoints": min(count, num_labelled) if is_id(count) else num_labelled,
    }


def _unlabel_broken(entry: Entry, context: _Context) -> Entry:
    return _unlabel(entry, [i // 3 for i, value in enumerate(entry["keypoints"]) if not is_number(value)])


def _unlabel_outside(entry: Entry, context: _Context) -> Entry:
    size = context.sizes[entry["image_id"]]
    return _unlabel(entry, find_outside(entry["keypoints"], size) if size else [])


def _mend_visibilities(entry: Entry, context: _Context) -> Entry:
    keypoints = list(entry["keypoints"])
    keypoints[2::3] = [v if v in (0, 1, 2) else 2 if v > 0 else 0 for v in keypoints[2::3]]
    return _set_keypoints(entry, keypoints)


def _count_keypoints(entry: Entry, context: _Context) -> Entry:
    return {**entry, "num_keypoints": count_labelled(entry["keypoints"])}


def _turn_box(entry: Entry, context: _Context) -> Entry:
    x, y, width, height = entry["bbox"]
    return {**entry, "bbox": [min(x, x + width), min(y, y + height), abs(width), abs(height)]}


def _draw_box(entry: Entry, context: _Context) -> Entry | None:
    """Draw the box around the labelled keypoints, or drop the entry where they span none."""
    keypoints = entry.get("keypoints")
    if not isinstance(keypoints, list) or not all(map(is_number, keypoints)):
        return None
    points = [(x, y) for x, y, v in zip(keypoints[0::3], keypoints[1::3], keypoints[2::3]) if v > 0]
    box = span_box(points)
    return {**entry, "bbox": box} if box[2] > 0 and box[3] > 0 else None


def span_box(points: list[tuple[float, float]]) -> list[float]:
    """Return the smallest [x, y, width, height] around points; zeros where there are none."""
    if not points:
        return [0, 0, 0, 0]
    xs, ys = zip(*points)
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _mend_area(entry: Entry, context: _Context) -> Entry:
    box = entry.get("bbox")
    is_box = isinstance(box, list) and len(box) == 4 and all(map(is_number, box))
    return {**entry, "area": abs(box[2] * box[3]) if is_box else 0}  # type: ignore[index]


_REMEDIES: dict[str, Callable[[Entry, _Context], Entry | None]] = {
    "category-skeleton": _drop_bones,
    "image-size": _take_size,
    "annotation-conflict": _give_id,
    "keypoint-number": _unlabel_broken,
    "keypoint-visibility": _mend_visibilities,
    "keypoint-outside": _unlabel_outside,
    "num-keypoints": _count_keypoints,
    "box-number": _draw_box,
    "box-inverted": _turn_box,
    "box-empty": _draw_box,
    "area": _mend_area,
}
