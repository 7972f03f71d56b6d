"""Merge COCO files whose categories have different keypoints into one file with one keypoint set.

A model has one keypoint set for all its classes. The set of the merged file is the union of all keypoint names, in any
spelling; what a category lacks is unlabeled in its people. A file of one tool whose classes have different keypoints is
merged in the same way, alone.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.files import check_outputs
from rtmo_plugin.keypoints.order import match_names
from rtmo_plugin.labels.categories import list_bones, list_partners
from rtmo_plugin.labels.check_tool import describe_contents
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.coco_files import Coco, read_coco, write_coco
from rtmo_plugin.labels.label_set import is_obstacle
from rtmo_plugin.labels.normalizing import normalize_coco
from rtmo_plugin.wording import count

Pairs = list[tuple[int, int]]


def merge_files(
    files: Sequence[str | Path],
    out: str | Path,
    *,
    images: Sequence[str | Path] = (),
    one_class: str | None = None,
) -> bool:
    """Write COCO files as one file, and print what is in it.

    Args:
        files: COCO files; not changed.
        out: File to write, which must not exist yet.
        images: Folder of the images of each file, in the order of the files. File names are then paths below the
            folder that all have in common, which is printed. Default: names stay, and may not be in two files.
        one_class: Name of the one category of all people. Default: categories stay; those of one name are joined.

    Returns:
        Whether the file has people.

    Raises:
        MissingFileError: A file or folder does not exist.
        ConfigError: There is not one folder for each file.
        DataError: A file cannot be read or has findings that leave its ids, names or numbers open; an image is in two
            files; a keypoint has different partners in a flip; or ``out`` exists already.
    """
    if images and len(images) != len(files):
        raise ConfigError(f"--images needs a folder for each of the {len(files)} files, not {len(images)}.")
    missing = [folder for folder in images if not Path(folder).is_dir()]
    if missing:
        raise MissingFileError(f"The image folder {missing[0]} does not exist.")
    if os.path.lexists(out):
        raise DataError(f"{out} exists already and is not overwritten: name another file.")
    check_outputs([out], files)
    parts = [_read_part(file) for file in files]
    common = os.path.commonpath([os.path.abspath(folder) for folder in images]) if images else ""
    prefixes: list[str | None] = [None] * len(parts)
    if images:
        prefixes = [Path(os.path.relpath(folder, common)).as_posix() for folder in images]
    merged = merge_cocos(parts, [str(file) for file in files], prefixes, one_class)
    write_coco(out, merged, overwrite=False)
    print(f"{out}: {describe_contents(merged)}")
    for note in _list_notes(merged, parts, common):
        print(f"  {note}")
    return bool(merged["annotations"])


def merge_cocos(
    parts: Sequence[Coco],
    names: Sequence[str],
    prefixes: Sequence[str | None],
    one_class: str | None = None,
) -> Coco:
    """Return COCO files as one, with ids from 1 and one keypoint set for all categories.

    Args:
        parts: Contents of the files, normalized and free of broken references.
        names: Names of the files in messages.
        prefixes: Folder of the images of each file. None: their names stay, and no other file may have them.
        one_class: Name of the one category of all people. Default: categories stay.

    Raises:
        DataError: An image is in two files with different sizes, or without folders; or a keypoint has different
            partners in a flip.
    """
    listed = [category for part in parts for category in part["categories"]]
    keypoints, places = join_names([category["keypoints"] for category in listed])
    flips = _join_flips(listed, places, keypoints)
    categories: dict[str, dict[str, Any]] = {}
    images: dict[str, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    origins: dict[str, str] = {}
    number = 0
    for part, name, prefix in zip(parts, names, prefixes):
        order = {}
        for category in part["categories"]:
            own = categories.setdefault(one_class or category["name"], {
                "id": len(categories) + 1, "name": one_class or category["name"], "keypoints": keypoints,
                "skeleton": [], "flip_pairs": [[keypoints[a], keypoints[b]] for a, b in flips],
            })  # fmt: skip
            order[category["id"]] = own["id"], places[number]
            bones = list_bones(category.get("skeleton"), len(category["keypoints"]))
            for bone in ([places[number][end - 1] + 1 for end in bone] for bone in bones):
                own["skeleton"] += [] if bone in own["skeleton"] or bone[::-1] in own["skeleton"] else [bone]
            number += 1
        ids = {each["id"]: _add_image(each, prefix, name, images, origins) for each in part["images"]}
        for person in part["annotations"]:
            category_id, own_places = order[person["category_id"]]
            spread: list[float] = [0] * (3 * len(keypoints))  # unlabeled where only other files have the keypoint
            for index, place in enumerate(own_places):
                spread[3 * place : 3 * place + 3] = person["keypoints"][3 * index : 3 * index + 3]
            changed = {"id": len(annotations) + 1, "image_id": ids[person["image_id"]], "category_id": category_id}
            annotations.append({**person, **changed, "keypoints": spread})
    return {"images": list(images.values()), "annotations": annotations, "categories": list(categories.values())}


def join_names(lists: Iterable[Sequence[str]]) -> tuple[list[str], list[list[int]]]:
    """Return the union of lists of keypoint names, and the place in it of each name of each list.

    Names are the same in any spelling; the first one stays.

    Args:
        lists: Keypoint names of each category.

    Examples:
        >>> join_names([["nose", "left_eye"], ["tail", "Eye L", "nose"]])
        (['nose', 'left_eye', 'tail'], [[0, 1], [2, 1, 0]])
    """
    joined: list[str] = []
    places = []
    for names in lists:
        known = match_names(joined, names)
        own: list[int] = []
        for index, name in enumerate(names):
            place = known.get(index)
            if place is None or place in own:
                place = len(joined)
                joined.append(name)
            own.append(place)
        places.append(own)
    return joined, places


def _read_part(file: str | Path) -> Coco:
    """Return a file in COCO's form, without categories that have no keypoints.

    Raises:
        DataError: It has findings that leave ids, references, names or numbers open.
    """
    coco, _ = normalize_coco(read_coco(file))
    for kind, problems in check_coco(coco).items():
        if is_obstacle(kind):
            raise DataError(f"{file} cannot be merged, run check with --fix first: {problems[0].text} [{kind}].")
    kept = [each for each in coco["categories"] if each.get("keypoints")]
    if not kept:
        raise DataError(f"{file} has no category with a list `keypoints` of names, which say what can be merged.")
    ids = {each["id"] for each in kept}
    people = [each for each in coco["annotations"] if each["category_id"] in ids]
    return {**coco, "categories": kept, "annotations": people}


def _join_flips(categories: Sequence[dict[str, Any]], places: Sequence[list[int]], names: Sequence[str]) -> Pairs:
    """Return the pairs that a flip exchanges in the joined set."""
    partners: dict[int, int] = {}
    for category, own in zip(categories, places):
        for index, partner in enumerate(list_partners(category["keypoints"], category.get("flip_pairs"))):
            if index == partner:
                continue
            known = partners.setdefault(own[index], own[partner])
            if known != own[partner]:
                raise DataError(
                    f"A flip exchanges {names[own[index]]} with {names[known]} in one category and with "
                    f"{names[own[partner]]} in {category['name']}: rename one of them."
                )
    return sorted((a, b) for a, b in partners.items() if a < b)


def _add_image(
    image: dict[str, Any],
    prefix: str | None,
    origin: str,
    images: dict[str, dict[str, Any]],
    origins: dict[str, str],
) -> int:
    """Add an image if its path is new, and return its id."""
    path = image["file_name"] if prefix is None else posixpath.normpath(posixpath.join(prefix, image["file_name"]))
    known = images.get(path)
    if known is None:
        images[path] = {**image, "id": len(images) + 1, "file_name": path}
        origins[path] = origin
        return len(images)
    if prefix is None and origins[path] != origin:
        raise DataError(
            f"An image {path} is in {origins[path]} and in {origin}: name the folder of each file's images with "
            "--images, one folder twice if the images are the same."
        )
    if any(known.get(side) != image.get(side) for side in ("width", "height")):
        raise DataError(f"The image {path} has another size in {origin} than in {origins[path]}.")
    return int(known["id"])


def _list_notes(merged: Coco, parts: Sequence[Coco], common: str) -> list[str]:
    """Return sentences on the joined keypoints, on images of several files, and on where the images are."""
    names = merged["categories"][0]["keypoints"]
    own = {len(category["keypoints"]) for part in parts for category in part["categories"]}
    notes = [
        f"{count(len(names), 'keypoint')} in one set: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}."
    ]
    if own != {len(names)}:
        notes.append("Keypoints that a category lacks are unlabeled (0, 0, 0) in its people.")
    num_shared = sum(len(part["images"]) for part in parts) - len(merged["images"])
    notes += [f"Images in several files, each there once: {num_shared:,}."] if num_shared else []
    notes += [f"Images are below {common}."] if common else []
    return notes
