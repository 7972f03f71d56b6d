"""Split a COCO file into images to train on and images to validate with."""

from __future__ import annotations

import os
import random
from pathlib import Path

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import check_outputs
from rtmo_plugin.labels.files import SECTIONS, Coco, read_coco, write_coco
from rtmo_plugin.labels.report import describe_contents
from rtmo_plugin.number_ranges import SEED, SHARE

NAMES = ("train.json", "val.json")


def split_file(file: str | Path, out: str | Path, val: float = 0.2, seed: int = 0) -> bool:
    """Write ``train.json`` and ``val.json``, and print what is in them.

    Args:
        file: A COCO file; stays as it is.
        out: Folder for the two; neither may be there.
        val: Share of the images that ``val.json`` gets, drawn at random; at least one image each.
        seed: Another seed, other images.

    Returns:
        True: both are written.

    Raises:
        MissingFileError: There is no such file.
        DataError: It cannot be read as COCO, has fewer than two images, or one of the two is there already.
        ConfigError: ``val`` is not between 0 and 1.
    """
    SHARE.check("val", val)
    SEED.check("seed", seed)
    targets = [Path(out, name) for name in NAMES]
    existing = [target for target in targets if os.path.lexists(target)]
    if existing:
        raise DataError(f"{existing[0]} is there already: name another folder, nothing is overwritten.")
    check_outputs(targets, [file])
    for target, part in zip(targets, split_coco(read_coco(file), val, seed)):
        write_coco(target, part, overwrite=False)
        print(f"{target}: {describe_contents(part)}")
    return True


def split_coco(coco: Coco, val: float, seed: int = 0) -> tuple[Coco, Coco]:
    """Return a COCO file's images, with their annotations, in two parts; categories and all else in both.

    Raises:
        DataError: It has fewer than two images.
    """
    ids = sorted({str(image["id"]) for image in coco["images"] if isinstance(image, dict) and "id" in image})
    if len(ids) < 2:
        raise DataError(f"The file has {len(ids)} images, and two parts need at least two.")
    count = min(max(round(val * len(ids)), 1), len(ids) - 1)
    chosen = set(random.Random(seed).sample(ids, count))
    return _select(coco, set(ids) - chosen), _select(coco, chosen)


def _select(coco: Coco, image_ids: set[str]) -> Coco:
    images = [image for image in coco["images"] if isinstance(image, dict) and str(image.get("id")) in image_ids]
    people = [each for each in coco["annotations"] if isinstance(each, dict) and str(each.get("image_id")) in image_ids]
    rest = {key: value for key, value in coco.items() if key not in SECTIONS}
    return {**rest, "images": images, "annotations": people, "categories": coco["categories"]}
