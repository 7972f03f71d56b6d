"""Ground truth for evaluation: from a COCO annotation file, or from what the samples carry.

As in the COCO tools, annotations of images or categories that the file does not list are left out,
and images without people count (detections there are false).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.fileio import get_local_path
from mmengine.logging import print_log
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.evaluation.records import CROWD, GroundTruth, KeypointMapping, MetricOptions, SampleResult
from rtmo_plugin.files import read_json
from rtmo_plugin.keypoints.order import find_category_orders, list_category_names, reorder_keypoints
from rtmo_plugin.keypoints.person_areas import find_area_faults
from rtmo_plugin.keypoints.person_boxes import PERSON_SHARE, complete_person
from rtmo_plugin.keypoints.whole_body import FIELDS, NUM_BY_PART, NUM_WHOLE_BODY, join_parts

_KEPT = ("id", "image_id", "category_id", "bbox", "iscrowd", "area", "num_keypoints", *FIELDS.values())

# Numbers that every annotation or image must have, and what a message says where they are missing.
_REQUIRED = {
    "area": ("Annotation", ": set `use_area=False` in the metric, as for CrowdPose, to take 0.53 of the box."),
    "num_keypoints": ("Annotation", ", which CrowdPose needs."),
    "crowdIndex": ("Image", ": is this an annotation of CrowdPose?"),
}

Json = dict[str, Any]


def read_annotations(path: str | Path) -> Json:
    """Read a COCO annotation file.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It is not JSON, not all of it is there, or it holds no images.
    """
    try:
        with get_local_path(str(path)) as local:
            content = read_json(local)
    except FileNotFoundError:
        raise MissingFileError(f"The annotation file {path} does not exist.") from None
    except DataError as error:
        raise DataError(f"The annotation file {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise DataError(f"The annotation file {path} is not in COCO's format: it has no list `images`.")
    _check_entries(content, path)
    return content


def _check_entries(content: Json, path: str | Path) -> None:
    """Raise a DataError where one of the lists holds something else than objects with an id."""
    for section in ("images", "annotations", "categories"):
        entries = content.get(section) or []
        if not isinstance(entries, list):
            raise DataError(f"The annotation file {path} is not in COCO's format: `{section}` is not a list.")
        names = ("id", "image_id", "category_id") if section == "annotations" else ("id",)
        for index, each in enumerate(entries):
            if not isinstance(each, dict) or not all(isinstance(each.get(name), (int, str)) for name in names):
                raise DataError(f"The annotation file {path} is not in COCO's format: {section}[{index}] has no ids.")
    for name in ("images", "categories"):
        kinds = {isinstance(each["id"], str) for each in content.get(name) or []}
        if len(kinds) > 1:
            raise DataError(f"In the annotation file {path} some ids of `{name}` are numbers, and others text.")


def is_crowdpose(content: Mapping[str, Any]) -> bool:
    """Return whether the content of an annotation file is CrowdPose's: it has images, each with a ``crowdIndex``.

    Examples:
        >>> is_crowdpose({"images": [{"id": 1, "crowdIndex": 0.1}]}), is_crowdpose({"images": []})
        (True, False)
    """
    return bool(content["images"]) and all("crowdIndex" in image for image in content["images"])


def keep_needed(annotations: Iterable[Mapping[str, Any] | None]) -> tuple[Json, ...]:
    """Return annotations without what evaluation does not read, such as masks; without ``None`` as well."""
    return tuple({key: each[key] for key in _KEPT if key in each} for each in annotations if each is not None)


def collect_annotations(results: Sequence[SampleResult], categories: Sequence[Any] | None) -> Json:
    """Return the ground truth that samples carry in the format of an annotation file, each person once.

    Args:
        results: Results of all samples, with ``image`` and ``annotations``.
        categories: ``CLASSES`` of MMPose's metainfo; None or names only for the categories that occur.
    """
    images = {result.image_id: result.image for result in results if result.image is not None}
    annotations = {each["id"]: each for result in results for each in result.annotations}
    content: Json = {"images": list(images.values()), "annotations": list(annotations.values())}
    if categories and all(isinstance(each, Mapping) for each in categories):
        content["categories"] = list(categories)
    return content


def make_ground_truth(
    content: Json,
    where: str,
    options: MetricOptions,
    num_keypoints: int,
    mapping: KeypointMapping | None = None,
    names: Sequence[str] | None = None,
) -> GroundTruth:
    """Return the people of an annotation file's content.

    Args:
        content: Content of the file.
        where: Name of the file in messages.
        options: Options of the metric; areas and ignored people depend on ``use_area`` and ``iou_type``.
        num_keypoints: Number of keypoints K of the metric's metainfo.
        mapping: Mapping from the keypoints in the file to those of the metric.
        names: Keypoint names of the metric's metainfo.  Where the file's categories name the same keypoints in
            another order, its people are reordered.

    Raises:
        DataError: Something that evaluation needs is missing or of another shape, or the file has other keypoints.
    """
    if not isinstance(content.get("annotations"), list):
        raise DataError(f"{where} has no list `annotations`: without ground truth there is only `format_only=True`.")
    image_ids = _sort_ids(content["images"])
    category_ids = _sort_ids(
        content.get("categories") or [{"id": each["category_id"]} for each in content["annotations"]]
    )
    images = {each: index for index, each in enumerate(image_ids)}
    categories = {each: index for index, each in enumerate(category_ids)}
    given = _select_people(content, images, categories)
    if num_keypoints == NUM_WHOLE_BODY or (mapping and max(mapping.sources, default=0) >= NUM_BY_PART["body"]):
        given = [join_parts(each) for each in given]
    orders = _find_orders(content, names, where) if names and not mapping else {}
    people = _complete_people(given, content["images"], orders)
    if options.use_area:
        _report_areas(given, people, where)
    keypoints = _stack(people, "keypoints", where, None if mapping else 3 * num_keypoints)
    keypoints = keypoints.reshape(len(people), keypoints.shape[1] // 3, 3)
    keypoints = mapping.apply(keypoints) if mapping else keypoints
    boxes = _stack(people, "bbox", where, 4)
    areas = _read_numbers(people, "area", where) if options.use_area else boxes[:, 2] * boxes[:, 3] * PERSON_SHARE
    crowd_index = None
    if options.iou_type == CROWD:
        by_id = {each["id"]: each for each in content["images"]}
        crowd_index = _read_numbers([by_id[each] for each in image_ids], "crowdIndex", where)
    is_crowd = np.array([bool(each.get("iscrowd", 0)) for each in people], bool)
    return GroundTruth(
        image_ids=image_ids,
        category_ids=category_ids,
        image=np.array([images[each["image_id"]] for each in people], int),
        category=np.array([categories[each["category_id"]] for each in people], int),
        keypoints=keypoints,
        boxes_xywh=boxes,
        areas=areas,
        is_crowd=is_crowd,
        is_ignored=is_crowd | (_count_keypoints(people, keypoints, where, options, mapping) == 0),
        crowd_index=crowd_index,
    )


def _select_people(content: Json, images: Mapping[Any, int], categories: Mapping[Any, int]) -> list[Json]:
    """Return the annotations of known images and categories, without those of categories that have no keypoints."""
    with_keypoints = [each for each in content.get("categories") or () if each.get("keypoints")]  # not cars beside them
    others = set(categories) - {each["id"] for each in with_keypoints} if with_keypoints else set()
    return [
        each
        for each in content["annotations"]
        if each.get("image_id") in images and each.get("category_id") in categories
        and (each.get("keypoints") or each["category_id"] not in others)
    ]  # fmt: skip


def _find_orders(content: Json, names: Sequence[str], where: str) -> dict[Any, tuple[int, ...]]:
    """Return the place in the file of each of the K keypoints, by category id, where it has another order.

    Categories that name another number of keypoints say nothing: such names are not those of the annotations.
    """
    categories = [
        each for each in content.get("categories") or [] if len(list_category_names(each) or ()) == len(names)
    ]
    advice = "; to compare some of them, set gt_converter and pred_converter"
    return find_category_orders(categories, names, where, allow_renamed=True, advice=advice)


def _complete_people(people: list[Json], images: list[Json], orders: Mapping[Any, tuple[int, ...]]) -> list[Json]:
    """Return people with keypoints in the metric's order, and with boxes and areas where the keypoints tell them."""
    sizes = {
        each["id"]: (each["width"], each["height"])
        for each in images
        if all(_is_number(each.get(name)) and each[name] > 0 for name in ("width", "height"))
    }
    completed = []
    for person in people:
        order, keypoints = orders.get(person["category_id"]), person.get("keypoints")
        if not isinstance(keypoints, (list, tuple)) or not all(map(_is_number, keypoints)):
            completed.append(person)  # an error that names it comes later
            continue
        if order and len(keypoints) == 3 * len(order):
            keypoints = reorder_keypoints(keypoints, order)
        completed.append(complete_person({**person, "keypoints": keypoints}, sizes.get(person["image_id"])))
    return completed


def _report_areas(given: list[Json], completed: list[Json], where: str) -> None:
    num_estimated = sum(each.get("area") != new.get("area") for each, new in zip(given, completed))
    sentences = []
    if num_estimated:
        sentences.append(f"{num_estimated} of {len(given)} people have no area; {PERSON_SHARE} of their box is taken.")
    usable = [
        each
        for each in completed
        if _is_number(each.get("area"))
        and isinstance(each.get("bbox"), (list, tuple))
        and len(each["bbox"]) == 4
        and all(map(_is_number, each["bbox"]))
    ]
    faults = list(find_area_faults(usable).values())
    if faults:
        sentences.append(
            f"The areas of {len(faults)} of {len(given)} people do not fit their boxes ({faults[0]}), which makes AP "
            f"meaningless: use_area=False takes {PERSON_SHARE} of the box."
        )
    for sentence in sentences:
        print_log(f"{where}: {sentence}", logger="current", level=logging.WARNING)


def _sort_ids(entries: Iterable[Mapping[str, Any]]) -> tuple[Any, ...]:
    return tuple(sorted({each["id"] for each in entries}))


def _stack(people: list[Json], key: str, where: str, length: int | None) -> NDArray[Any]:
    """Return a list of numbers of each person as one array (G, length), of the first one's length for None."""
    for each in people:
        if not isinstance(each.get(key), (list, tuple, np.ndarray)):
            raise DataError(f"Annotation {each.get('id')} of {where} has no `{key}`.")
        length = length or len(each[key])
        if len(each[key]) != length:
            raise DataError(
                f"Annotation {each.get('id')} of {where} has {len(each[key])} numbers in `{key}`, not {length}: "
                "do the config's keypoints belong to these data?"
            )
    try:
        values = np.array([each[key] for each in people], np.float64).reshape(len(people), length or 0)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"Some `{key}` of {where} holds something else than numbers: {error}.") from error
    broken = np.flatnonzero(~np.isfinite(values).all(1))
    if len(broken):
        raise DataError(f"Annotation {people[broken[0]].get('id')} of {where} has `{key}` that are not finite.")
    return values


def _read_numbers(entries: list[Json], key: str, where: str) -> NDArray[Any]:
    """Return a number that each annotation, or each image, must have: one of ``_REQUIRED``."""
    for each in entries:
        if not _is_number(each.get(key)):
            kind, advice = _REQUIRED[key]
            raise DataError(f"{kind} {each.get('id')} of {where} has no `{key}`{advice}")
    return np.array([each[key] for each in entries], np.float64)


def _is_number(value: Any) -> bool:
    """Whether a value is a number that an array can hold; NaN does not count."""
    return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max


def _count_keypoints(
    people: list[Json], keypoints: NDArray[Any], where: str, options: MetricOptions, mapping: KeypointMapping | None
) -> NDArray[Any]:
    """Return how many keypoints of each person count: CrowdPose has its own number, of the visible ones."""
    if options.iou_type != CROWD:
        counts: NDArray[Any] = (keypoints[..., 2] > 0).sum(1)
        return counts
    if mapping:  # as in MMPose 1.3: each mapped person has all keypoints
        return np.full(len(people), keypoints.shape[1])
    return _read_numbers(people, "num_keypoints", where).astype(int)
