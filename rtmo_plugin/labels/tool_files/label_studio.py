"""Label Studio: JSON exports with KeyPointLabels and RectangleLabels, and tasks to import.

A person is a region ``rectanglelabels`` with the points that have it as parent (``parentID``) or are related to it;
other points go to the box that holds them. Coordinates are percent of the upright image: Label Studio shows images as
EXIF says, and turns the coordinates back where an annotator rotated the view (``image_rotation``). A point with the
choice ``occluded``, made for the region, has COCO's visibility 1.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import encode_json, read_json
from rtmo_plugin.labels.grouping import Shape, ShapedImage, gather_people
from rtmo_plugin.labels.image_sizes import find_sizes
from rtmo_plugin.labels.json_values import is_number, read_whole
from rtmo_plugin.labels.label_set import LabelSet, Person, ReadOptions, clean_name, describe_left_out, write_new

TASKS, INTERFACE = "tasks.json", "interface.xml"
_KINDS = {"keypointlabels", "rectanglelabels"}
_OCCLUDED = "occluded"
_UPLOAD = re.compile("[0-9a-f]{8}-(?=.)")  # that Label Studio puts before the name of an uploaded file
_CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))


def read_label_studio(path: Path, options: ReadOptions) -> LabelSet:
    """Return the labels of an export, or of a folder that ``write_label_studio`` wrote.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It is not an export of image tasks, two tasks have the same image, or a region is malformed.
    """
    file = path / TASKS if path.is_dir() else path
    tasks = read_json(file)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError(f"{file} is not an export of Label Studio: it must hold a list of tasks (export as JSON).")
    results, notes = _choose_results(tasks, file)
    named = _name_images([task for task, _ in results], file)
    origins = {name: f"{file}, task {task.get('id')} ({name})" for name, (task, _) in zip(named, results)}
    regions = {name: found for name, (_, found) in zip(named, results)}
    sizes = {
        name: _find_size([*found, task.get("data")], origins[name])
        for (name, found), (task, _) in zip(regions.items(), results)
    }
    unsized = [name for name, size in sizes.items() if size is None]
    if not options.images and options.sizes is None:
        empty = [name for name in unsized if not any(_is_drawn(region) for region in regions[name])]
        words = "Images without regions, whose size the file lacks, left out (--images adds them)"
        notes += [f"{words}: {len(empty):,}."] if empty else []
        unsized = [name for name in unsized if name not in empty]
        regions = {name: found for name, found in regions.items() if name not in empty}
    sizes |= {name: size for name, (_, size) in find_sizes(unsized, file.parent, options).items()}
    images: dict[str, ShapedImage] = {}
    unused: Counter[str] = Counter()
    for name, found in regions.items():
        size = sizes[name]
        assert size is not None
        images[name] = ShapedImage(size, _read_shapes(found, size, origins[name], unused), origins[name])
    labels = gather_people(images, options, "parent")
    return replace(labels, notes=[*notes, *labels.notes, *describe_left_out(unused)])


def write_label_studio(labels: LabelSet, out: Path, split: str) -> None:
    """Write tasks with annotations, and the labeling interface that shows them."""
    write_tasks(labels, out, "annotations")


def write_tasks(
    labels: LabelSet, out: Path, section: str, scores: dict[str, float] | None = None, prefix: str = ""
) -> None:
    """Write tasks, and the labeling interface that shows them.

    Args:
        labels: Images with their people, in the order of the tasks.
        out: Folder to write.
        section: ``annotations`` (finished) or ``predictions`` (to be corrected).
        scores: Score of the prediction by image name, by which Label Studio can sort.
        prefix: Address before the name of each image.
    """
    tasks = []
    for number, (name, image) in enumerate(labels.images.items(), start=1):
        result = [
            region
            for index, person in enumerate(image.people)
            for region in _encode_person(
                person, labels.keypoints[person.category], (image.width, image.height), f"{number}_{index}"
            )
        ]
        entry: dict[str, Any] = {"result": result}
        if scores is not None:
            entry |= {"model_version": "rtmo", "score": scores[name]}
        data = {"image": prefix + quote(name), "file_name": name, "width": image.width, "height": image.height}
        tasks.append({"id": number, "data": data, section: [entry]})
    write_new(out / TASKS, encode_json(tasks, TASKS, indent=1))
    view = Element("View")
    SubElement(view, "Image", {"name": "image", "value": "$image"})
    boxes = SubElement(view, "RectangleLabels", {"name": "box", "toName": "image"})
    for category in labels.categories:
        SubElement(boxes, "Label", {"value": category})
    points = SubElement(view, "KeyPointLabels", {"name": "keypoint", "toName": "image"})
    for name in dict.fromkeys(name for names in labels.keypoints.values() for name in names):
        SubElement(points, "Label", {"value": name})
    choices = {"name": "visibility", "toName": "image", "perRegion": "true", "whenTagName": "keypoint"}
    SubElement(SubElement(view, "Choices", choices), "Choice", {"value": _OCCLUDED})
    indent(view)
    write_new(out / INTERFACE, tostring(view, "unicode") + "\n")


def _choose_results(
    tasks: list[dict[str, Any]], file: Path
) -> tuple[list[tuple[dict[str, Any], list[Any]]], list[str]]:
    """Return the tasks that have labels, each with the regions of one annotation, and sentences on the choice."""
    counts: Counter[str] = Counter()
    section = "annotations" if any(_list_entries(task, "annotations") for task in tasks) else "predictions"
    is_short = not any(key in task for task in tasks for key in ("annotations", "predictions", "data"))
    chosen: list[tuple[dict[str, Any], list[Any]]] = []
    for task in tasks:
        if is_short:  # JSON-MIN: regions by tag
            values = [value for value in task.values() if isinstance(value, list)]
            chosen.append((task, [_expand(region) for value in values for region in value]))
            continue
        entries = _list_entries(task, section)
        if not entries:
            counts["unlabeled"] += 1
            continue
        counts["several"] += len(entries) > 1
        best = next((entry for entry in entries if entry.get("ground_truth")), entries[0])
        chosen.append((task, best["result"]))
    if not chosen:
        raise DataError(f"{file} has no task with an annotation or a prediction: label it, and export it again.")
    notes = []
    if section == "predictions" and not is_short:
        notes.append(f"No task has an annotation, so the predictions of {len(chosen):,} tasks are read.")
    if counts["unlabeled"]:
        notes.append(f"Tasks without a submitted annotation, left out: {counts['unlabeled']:,}.")
    if counts["several"]:
        words = "Tasks with several annotations, of which the ground truth or else the first one is read"
        notes.append(f"{words}: {counts['several']:,}.")
    return chosen, notes


def _list_entries(task: dict[str, Any], section: str) -> list[dict[str, Any]]:
    """Return the annotations or predictions of a task that were not skipped."""
    entries = task.get(section) or (task.get("completions") if section == "annotations" else None) or []
    entries = entries if isinstance(entries, list) else []
    return [
        entry
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("result"), list) and not entry.get("was_cancelled")
    ]


def _expand(region: Any) -> Any:
    """Return a region of JSON-MIN, whose value is not apart, in the form of JSON."""
    kinds = _KINDS & region.keys() if isinstance(region, dict) else set()
    return {**region, "type": next(iter(kinds)), "value": region} if kinds else region


def _name_images(tasks: list[dict[str, Any]], file: Path) -> list[str]:
    """Return the image name of each task: the path in its address, without what Label Studio added.

    Raises:
        DataError: A task has no image, or two have the same one.
    """
    addresses = []
    for number, task in enumerate(tasks, start=1):
        data = task.get("data") if isinstance(task.get("data"), dict) else task
        texts = {key: value for key, value in data.items() if isinstance(value, str)}  # type: ignore[union-attr]
        if texts.get("file_name"):  # which write_tasks wrote
            addresses.append(quote(texts["file_name"]))
            continue
        found = [texts[key] for key in ("image", "img") if key in texts]
        found += [text for text in texts.values() if PurePosixPath(urlsplit(text).path).suffix or "?d=" in text]
        if not found:
            raise DataError(f"{file}: task {task.get('id', number)} has no image in its data.")
        addresses.append(found[0])
    full = [_read_address(address) for address in addresses]
    short = [_UPLOAD.sub("", name, count=1) if "/upload/" in each else name for name, each in zip(full, addresses)]
    names = short if len(set(short)) == len(short) else full
    repeated = [name for name, number in Counter(names).items() if number > 1]
    if repeated:
        raise DataError(f"{file}: two tasks are of the image {repeated[0]}: keep one of them.")
    return names


def _read_address(address: str) -> str:
    """Return the name of an image from its address.

    Examples:
        >>> _read_address("/data/upload/3/8f6b2c1a-a.jpg"), _read_address("/data/local-files/?d=x/a%20b.jpg")
        ('8f6b2c1a-a.jpg', 'x/a b.jpg')
        >>> _read_address("s3://bucket/x/a.jpg"), _read_address("x/a%231.jpg")
        ('a.jpg', 'x/a#1.jpg')
    """
    parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")
    if local:
        return local[0].lstrip("/")
    path = unquote(parts.path)
    is_relative = not parts.scheme and not path.startswith("/")
    return path if is_relative else PurePosixPath(path).name


def _find_size(entries: list[Any], origin: str) -> tuple[int, int] | None:
    """Return width and height of the image that one of the regions or the data of the task name, or None."""
    for entry in entries:
        for before in ("original_", ""):
            sides = [entry.get(f"{before}{side}") for side in ("width", "height")] if isinstance(entry, dict) else []
            if None in sides or not sides:
                continue
            whole = [read_whole(side) for side in sides]
            if any(side is None or not 0 < side < 10**9 for side in whole):
                raise DataError(f"{origin}: the size {sides} of the image is not two whole numbers above 0.")
            return whole[0], whole[1]  # type: ignore[return-value]
    return None


def _is_drawn(region: Any) -> bool:
    return isinstance(region, dict) and region.get("type") in _KINDS


def _read_shapes(regions: list[Any], size: tuple[int, int], origin: str, unused: Counter[str]) -> list[Shape]:
    """Return points and boxes, each with the id of its box as group."""
    drawn = [region for region in regions if _is_drawn(region)]
    boxes = {str(region["id"]) for region in drawn if region["type"] == "rectanglelabels" and "id" in region}
    parents = {str(each["id"]): str(each["parentID"]) for each in drawn if each.get("parentID") and "id" in each}
    occluded = set()
    for region in regions:
        kind = region.get("type") if isinstance(region, dict) else None
        if kind == "relation":
            ends = [str(region.get("from_id")), str(region.get("to_id"))]
            ends = ends if ends[1] in boxes else ends[::-1]
            if ends[1] in boxes and ends[0] not in boxes:
                parents.setdefault(*ends)
        elif kind == "choices" and _OCCLUDED in (region.get("value") or {}).get("choices", []):
            occluded.add(str(region.get("id")))
        elif kind not in _KINDS:
            unused[str(kind)[:40]] += 1
    used = {group for group in parents.values() if group in boxes}
    shapes = []
    for region in drawn:
        own = str(region.get("id"))
        group = own if own in used else parents.get(own)
        shape = _read_region(region, size, origin)
        is_hidden = own in occluded or region["value"].get("hidden")  # as Label Studio converts from COCO
        shapes.append(shape._replace(group=group, visibility=1 if is_hidden else 2))
    return shapes


def _read_region(region: dict[str, Any], size: tuple[int, int], origin: str) -> Shape:
    """Return a point, or the upright box around a rectangle, in pixels."""
    kind, value = region["type"], region.get("value")
    labels = value.get(kind) if isinstance(value, dict) else None
    if not isinstance(labels, list) or not labels or not isinstance(labels[0], str) or not clean_name(labels[0]):
        raise DataError(f"{origin}: a region of the type {kind} needs one label.")
    label, wanted = clean_name(labels[0]), ("x", "y") if kind == "keypointlabels" else ("x", "y", "width", "height")
    if not all(is_number(value.get(key)) for key in wanted):  # type: ignore[union-attr]
        raise DataError(f"{origin}: the region {label!r} needs finite numbers as {', '.join(wanted)}.")
    width, height = size
    numbers = [value[key] / 100 * side for key, side in zip(wanted, (width, height) * 2)]  # type: ignore[index]
    angle = value.get("rotation") or 0  # type: ignore[union-attr]
    if kind == "keypointlabels" or not is_number(angle) or not angle:
        return Shape(label, numbers)
    x, y, box_width, box_height = numbers
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))  # around the corner, clockwise
    sides = [(right * box_width, down * box_height) for right, down in _CORNERS]
    xs = [x + right * cosine - down * sine for right, down in sides]
    ys = [y + right * sine + down * cosine for right, down in sides]
    return Shape(label, [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)])


def _encode_person(person: Person, names: list[str], size_wh: tuple[int, int], key: str) -> Iterator[dict[str, Any]]:
    """Yield the regions of a person: the box, its points, and the visibility of those that are occluded."""
    width, height = size_wh
    common = {"to_name": "image", "original_width": width, "original_height": height, "image_rotation": 0}
    assert person.bbox is not None
    x, y, w, h = person.bbox
    value: dict[str, Any] = {
        "x": 100 * x / width, "y": 100 * y / height, "width": 100 * w / width, "height": 100 * h / height,
        "rotation": 0, "rectanglelabels": [person.category],
    }  # fmt: skip
    yield {"id": key, "from_name": "box", "type": "rectanglelabels", "value": value, **common}
    for index, (name, (px, py, v)) in enumerate(zip(names, person.points)):
        if v > 0:
            own = f"{key}_{index}"
            value = {"x": 100 * px / width, "y": 100 * py / height, "width": 0.5, "keypointlabels": [name]}
            point = {"id": own, "from_name": "keypoint", "type": "keypointlabels", "value": value, "parentID": key}
            yield {**point, **common}
            if v == 1:
                choice = {"choices": [_OCCLUDED]}
                yield {"id": own, "from_name": "visibility", "type": "choices", "value": choice, **common}
