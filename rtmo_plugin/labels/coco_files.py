"""COCO files: read, written, and the parts that all checks look at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import read_json, write_file
from rtmo_plugin.keypoints.sets import find_schema
from rtmo_plugin.keypoints.whole_body import NUM_WHOLE_BODY, WHOLE_BODY, has_parts, join_parts
from rtmo_plugin.labels.json_values import is_id
from rtmo_plugin.structures import KeypointSchema

Coco = dict[str, Any]
SECTIONS = ("images", "annotations", "categories")


def read_coco(path: str | Path) -> Coco:
    """Return the content of a COCO file; only its three lists are checked.

    Numbers that JSON does not know (NaN, Infinity) are read, so that a check can name them. COCO-WholeBody's keypoints
    of feet, face and hands, which have fields of their own, are in ``keypoints`` and in the names of the category.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It is not valid JSON (the message names the place), or not in COCO's format; or it is
            COCO-WholeBody's and MMPose, which has the names, is not installed.
    """
    coco = read_json(path)
    if not isinstance(coco, dict):
        raise DataError(f"{path} is not a COCO file: it holds a {type(coco).__name__}, not an object with lists.")
    missing = [name for name in SECTIONS if not isinstance(coco.get(name), list)]
    if missing:
        raise DataError(f"{path} is not a COCO file: it has no list {' and no list '.join(map(repr, missing))}.")
    return _join_whole_body(coco, path)


def make_category_fields(keypoint_set: KeypointSchema) -> dict[str, Any]:
    """Return the fields of a COCO category with the keypoints of a keypoint set; bones count from 1.

    Examples:
        >>> make_category_fields(KeypointSchema(("head", "tail"), (0.1, 0.1), skeleton=((0, 1),)))
        {'keypoints': ['head', 'tail'], 'skeleton': [[1, 2]], 'flip_pairs': []}
    """
    names = keypoint_set.names
    return {
        "keypoints": list(names),
        "skeleton": [[a + 1, b + 1] for a, b in keypoint_set.skeleton],
        "flip_pairs": [[names[a], names[b]] for a, b in keypoint_set.flip_pairs],
    }


def name_keypoints(coco: Coco, keypoint_set: KeypointSchema) -> Coco:
    """Return a COCO file whose categories without keypoint names have those of a keypoint set.

    Categories are named that have annotations with as many keypoints as the set; others stay as they are.

    Args:
        coco: Content of a COCO file.
        keypoint_set: Keypoint set of K keypoints, in the order of the file.
    """
    length = 3 * keypoint_set.num_keypoints
    fitting = {
        each["category_id"]
        for each in list_entries(coco["annotations"], "category_id")
        if isinstance(each.get("keypoints"), list) and len(each["keypoints"]) == length
    }
    named = [
        {**each, **make_category_fields(keypoint_set)}
        if isinstance(each, dict) and not each.get("keypoints") and is_id(each.get("id")) and each["id"] in fitting
        else each
        for each in coco["categories"]
    ]
    return {**coco, "categories": named}


def _join_whole_body(coco: Coco, path: str | Path) -> Coco:
    """Return COCO-WholeBody's file with all 133 keypoints in one list; any other file as it is."""
    if not any(isinstance(each, dict) and has_parts(each) for each in coco["annotations"]):
        return coco
    try:
        whole_body = find_schema(WHOLE_BODY)
    except KeyError as error:
        raise DataError(
            f"{path} has COCO-WholeBody's feet, face and hands, whose keypoint names are MMPose's: install it by "
            "`pip install --no-deps mmpose==1.3.2`."
        ) from error
    people = [join_parts(each) if isinstance(each, dict) else each for each in coco["annotations"]]
    ids = {
        each["category_id"]
        for each in list_entries(people, "category_id")
        if isinstance(each.get("keypoints"), list) and len(each["keypoints"]) == 3 * NUM_WHOLE_BODY
    }
    names = [
        {**each, **make_category_fields(whole_body)} if isinstance(each, dict) and each.get("id") in ids else each
        for each in coco["categories"]
    ]
    return {**coco, "annotations": people, "categories": names}


def write_coco(path: str | Path, coco: Coco, *, overwrite: bool = True) -> None:
    """Write a COCO file with one entry a line, without holding its whole text in memory."""
    write_file(path, _encode_coco(coco), overwrite=overwrite)


def list_entries(entries: Iterable[Any], key: str = "id") -> list[dict[str, Any]]:
    """Return the entries of a list that are objects with a whole number under ``key``."""
    return [entry for entry in entries if isinstance(entry, dict) and is_id(entry.get(key))]


def split_points(keypoints: list[float]) -> Iterator[tuple[float, float, float]]:
    """Return an iterator over (x, y, visibility) of K keypoints, given as 3K numbers."""
    return zip(keypoints[0::3], keypoints[1::3], keypoints[2::3])


def _encode_coco(coco: Coco) -> Iterator[str]:
    encode = json.JSONEncoder(ensure_ascii=False).encode
    for number, (key, value) in enumerate(coco.items()):
        yield f"{',' if number else '{'}\n{encode(key)}: "
        if key not in SECTIONS:
            yield encode(value)
            continue
        yield "["
        yield from (f"{',' if index else ''}\n{encode(entry)}" for index, entry in enumerate(value))
        yield "]"
    yield "}\n"
