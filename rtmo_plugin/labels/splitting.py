"""Split a COCO file into images to train on and images to validate with."""

from __future__ import annotations

import os
import posixpath
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import check_outputs
from rtmo_plugin.labels.check_tool import describe_contents
from rtmo_plugin.labels.coco_files import SECTIONS, Coco, read_coco, write_coco
from rtmo_plugin.labels.json_values import is_id
from rtmo_plugin.labels.normalizing import normalize_coco
from rtmo_plugin.number_ranges import SEED, SHARE
from rtmo_plugin.wording import count

NAMES = ("train.json", "val.json")


def split_file(file: str | Path, out: str | Path, val: float = 0.2, seed: int = 0) -> bool:
    """Write ``train.json`` and ``val.json``, and print what is in them.

    Args:
        file: COCO file; not changed.
        out: Folder for the two files, which must not exist yet.
        val: Share of the images in ``val.json``, drawn at random; each file has at least one image.
        seed: Seed of the random choice.

    Returns:
        True: both files are written.

    Raises:
        MissingFileError: The file does not exist.
        DataError: The file cannot be read as COCO or has fewer than two images, or an output exists already.
        ConfigError: ``val`` is not between 0 and 1.
    """
    SHARE.check("val", val)
    SEED.check("seed", seed)
    targets = [Path(out, name) for name in NAMES]
    existing = [target for target in targets if os.path.lexists(target)]
    if existing:
        raise DataError(f"{existing[0]} exists already and is not overwritten: name another folder.")
    check_outputs(targets, [file])
    coco = read_coco(file)
    parts = split_coco(coco, val, seed)
    for target, part in zip(targets, parts):
        write_coco(target, part, overwrite=False)
        print(f"{target}: {describe_contents(part)}")
    for section in ("images", "annotations"):
        num_lost = len(coco[section]) - sum(len(part[section]) for part in parts)
        if num_lost:
            reason = "without an id" if section == "images" else "of no image in the file"
            print(
                f"  In neither file: {count(num_lost, section[:-1])} {reason}, which `rtmo dataset check {file}` names."
            )
    return True


def split_coco(coco: Coco, val: float, seed: int = 0) -> tuple[Coco, Coco]:
    """Return a COCO file's images, with their annotations, in two parts; categories and all else in both.

    Raises:
        DataError: It has fewer than two images.
    """
    forms, _ = normalize_coco(coco)  # in which all references are numbers
    firsts: dict[str, int] = {}
    leaders: dict[int, int] = {}  # for each image id, the first id with the same file, so that no file is in both parts
    for image in forms["images"]:
        if isinstance(image, dict) and is_id(image.get("id")):
            name = image.get("file_name")
            key = posixpath.normpath(name.replace("\\", "/")) if isinstance(name, str) and name else ""
            leaders.setdefault(image["id"], firsts.setdefault(key, image["id"]) if key else image["id"])
    ids = sorted(map(str, set(leaders.values())))
    if len(ids) < 2:
        held = "one image" if ids else "no image with an id"
        raise DataError(f"The file has {held}, and two parts need at least two.")
    chosen = set(random.Random(seed).sample(ids, min(max(round(val * len(ids)), 1), len(ids) - 1)))
    sides = {image_id: str(leader) in chosen for image_id, leader in leaders.items()}
    return _select(coco, forms, sides, False), _select(coco, forms, sides, True)


def _select(coco: Coco, forms: Coco, sides: Mapping[int, bool], side: bool) -> Coco:
    """Return the original entries of one side, chosen by their normalized forms."""

    def choose(section: str, key: str) -> list[Any]:
        pairs = zip(coco[section], forms[section])
        return [
            old for old, new in pairs if isinstance(new, dict) and is_id(new.get(key)) and sides.get(new[key]) is side
        ]

    rest = {key: value for key, value in coco.items() if key not in SECTIONS}
    chosen = {"images": choose("images", "id"), "annotations": choose("annotations", "image_id")}
    return {**rest, **chosen, "categories": coco["categories"]}
