"""Check a COCO file: all findings, by kind."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from rtmo_plugin.labels.annotations import count_labeled_people, find_in_annotations, list_sizes
from rtmo_plugin.labels.categories import find_in_categories
from rtmo_plugin.labels.coco_files import SECTIONS, Coco
from rtmo_plugin.labels.conventions import find_conventions, find_shift
from rtmo_plugin.labels.image_inspection import ImageInspection
from rtmo_plugin.labels.json_values import is_id
from rtmo_plugin.labels.normalizing import normalize_coco
from rtmo_plugin.labels.problems import KINDS, Problem

_SIDES = ("width", "height")
_LARGEST_SIDE = 10**9  # pixels
_ENTRY = {"images": "image", "annotations": "annotation", "categories": "category"}


def check_coco(coco: Coco, inspections: Mapping[str, ImageInspection] | None = None) -> dict[str, list[Problem]]:
    """Return the findings of a COCO file by kind, in the order of ``KINDS``.

    Values in another form (``"1"`` for 1) are findings, and are converted for the other checks.

    Args:
        coco: Content of the file, as ``read_coco`` returns it.
        inspections: Results of opening the images, by file name. Default: images are not judged.
    """
    found: dict[str, list[Problem]] = defaultdict(list)
    coco, converted = normalize_coco(coco)
    sizes = list_sizes(coco)
    finders = (
        converted,
        find_in_categories(coco),
        _find_in_images(coco, inspections or {}),
        find_in_annotations(coco, sizes),
        find_conventions(coco, sizes, are_sizes_known=bool(inspections)),
        find_shift(coco, "images", "image_id"),
        find_shift(coco, "categories", "category_id"),
    )
    for problem in chain.from_iterable(finders):
        found[problem.kind].append(problem)
    for section in SECTIONS:
        for problem in _find_repeats(section, coco[section]):
            found[problem.kind].append(problem)
    if coco["images"] and "visibility-none" not in found and not count_labeled_people(coco):
        words = f"{len(coco['annotations']):,} annotations of {len(coco['images']):,} images"
        text = f"{words}, so that nothing can be learned"
        found["unlabeled-file"].append(Problem("unlabeled-file", 0, text))
    return {kind: found[kind] for kind in KINDS if kind in found}


def _find_in_images(coco: Coco, inspections: Mapping[str, ImageInspection]) -> Iterator[Problem]:
    ids: dict[str, Any] = {}  # of the first image with a file
    annotated = {str(each.get("image_id")) for each in coco["annotations"] if isinstance(each, dict)}
    for index, image in enumerate(coco["images"]):
        fault = _find_fault(image)
        inspection = inspections.get(image["file_name"]) if fault.startswith(_SIDES) else None
        if fault and not (inspection and inspection.size_wh != (0, 0)):
            is_needed = fault.startswith(_SIDES) and str(image["id"]) in annotated
            yield Problem("image-unsized" if is_needed else "image-broken", index, f"images[{index}]: {fault}")
            continue
        first = ids.setdefault(posixpath.normpath(image["file_name"].replace("\\", "/")), image["id"])
        if first != image["id"]:
            yield Problem(
                "image-file", index, f"image {image['id']} ({image['file_name']}): image {first} has this file"
            )
        if image["file_name"] in inspections:
            yield from _judge_inspection(index, image, inspections[image["file_name"]])


def _find_fault(image: Any) -> str:
    """Return the fault of an image entry, or nothing."""
    if not isinstance(image, dict):
        return f"a {type(image).__name__}, not an object"
    if not is_id(image.get("id")):
        return f"id is {image.get('id')!r}"
    if not isinstance(image.get("file_name"), str) or not image["file_name"]:
        return f"file_name is {image.get('file_name')!r}"
    sides = [name for name in _SIDES if not is_id(image.get(name)) or not 0 < image[name] <= _LARGEST_SIDE]
    return ", ".join(f"{name} is {image.get(name)!r}" for name in sides)


def _judge_inspection(index: int, image: dict[str, Any], inspection: ImageInspection) -> Iterator[Problem]:
    name = f"image {image['id']} ({image['file_name']})"
    if inspection.fault:
        yield Problem(inspection.kind, index, f"{name}: {inspection.fault}")
    if inspection.size_wh not in ((0, 0), (image.get("width"), image.get("height"))):
        width, height = inspection.size_wh
        said = f"{image.get('width')} x {image.get('height')}"
        yield Problem("image-size", index, f"{name}: {width} x {height}, but the file says {said}")


def _find_repeats(section: str, entries: list[Any]) -> Iterator[Problem]:
    """Yield entries with the id of another one: repeats if they are equal, else conflicts."""
    places: dict[int, list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        if isinstance(entry, dict) and is_id(entry.get("id")):
            places[entry["id"]].append(index)
    word = _ENTRY[section]
    for entry_id, indices in places.items():
        if len(indices) == 1:
            continue
        first, *others = indices
        is_same = all(entries[index] == entries[first] for index in others)
        # If images differ, the first one is as doubtful as the others.
        for index in indices if section == "images" and not is_same else others:
            text = f"{word} {entry_id}: {section}[{index}], of {len(indices)} with this id"
            yield Problem(f"{word}-{'repeated' if is_same else 'conflict'}", index, text)
