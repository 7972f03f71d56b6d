"""Synthetic people as a folder that other programs can read."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2

from rtmo_plugin.datasets.synthetic_people import SyntheticPeople
from rtmo_plugin.errors import DataError


def write_coco_folder(dataset: SyntheticPeople, folder: str | Path, split: str) -> Iterator[Path]:
    """Write ``folder/split/*.png`` and ``folder/annotations/person_keypoints_split.json``.

    This is COCO's own layout, so configs for COCO read the folder as their ``data_root``.

    Args:
        dataset: What to write.
        folder: Made if it is missing.
        split: Such as ``'train2017'``.

    Yields:
        The path of each file, once it is written: the annotations last.

    Raises:
        DataError: The split is there already (a ``ValueError``).
    """
    annotation_file = Path(folder) / "annotations" / f"person_keypoints_{split}.json"
    if annotation_file.exists():
        raise DataError(f"{annotation_file} exists already: remove it, or choose another folder or split.")
    coco = dataset.to_coco()
    for path in (annotation_file.parent, Path(folder) / split):
        path.mkdir(parents=True, exist_ok=True)
    for image in coco["images"]:
        path = Path(folder) / split / image["file_name"]
        path.write_bytes(cv2.imencode(".png", dataset.draw(image["id"]))[1].tobytes())
        yield path
    annotation_file.write_text(json.dumps(coco))
    yield annotation_file
