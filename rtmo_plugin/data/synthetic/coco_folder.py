"""Synthetic people as a folder that other programs can read."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2

from rtmo_plugin.data.synthetic.synthetic_people import SyntheticPeople
from rtmo_plugin.errors import DataError
from rtmo_plugin.files import check_outputs, join_inside, write_json


def write_coco_folder(dataset: SyntheticPeople, folder: str | Path, split: str) -> Iterator[Path]:
    """Write ``folder/split/*.png`` and ``folder/annotations/person_keypoints_split.json``.

    This is COCO's own layout, so configs for COCO read the folder as their ``data_root``.

    Args:
        dataset: Images and annotations to write.
        folder: Folder to write to; created if it is missing.
        split: Name of the image folder, such as ``'train2017'``.

    Yields:
        The path of each file, once it is written: the annotations last.

    Raises:
        DataError: The split exists already (a ``ValueError``), or its name leads out of the folder.
        OutputError: The folder cannot be written.
    """
    images = join_inside(folder, split)
    annotation_file = join_inside(Path(folder) / "annotations", f"person_keypoints_{split}.json")
    for path in (annotation_file, images):
        if os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir())):
            raise DataError(f"{path} exists already: remove it, or choose another folder or split.")
    check_outputs([annotation_file, images / "0.png"])
    coco = dataset.to_coco()
    images.mkdir(parents=True, exist_ok=True)
    for image in coco["images"]:
        path = images / image["file_name"]
        with path.open("xb") as file:
            file.write(cv2.imencode(".png", dataset.draw(image["id"]))[1].tobytes())
        yield path
    yield write_json(annotation_file, coco, overwrite=False)
