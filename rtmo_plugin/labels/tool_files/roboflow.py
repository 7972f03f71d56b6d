"""Roboflow's exports: "COCO Keypoint Detection" (``_annotations.coco.json``), and YOLO folders.

Its COCO files begin with a category without keypoints that stands for the whole project, and have images of the same
photograph, augmented, under names with ``.rf.``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rtmo_plugin.errors import MissingFileError
from rtmo_plugin.labels.categories import list_others
from rtmo_plugin.labels.coco_files import read_coco
from rtmo_plugin.labels.label_set import LabelSet, ReadOptions, from_coco
from rtmo_plugin.labels.yolo import read_yolo

FILE = "_annotations.coco.json"
_SPLITS = {"val": "valid"}


def read_roboflow(path: Path, options: ReadOptions) -> LabelSet:
    """Return the labels of one split.

    Args:
        path: Export folder, folder of a split, or file.
        options: Split; keypoint names, for a YOLO folder.

    Raises:
        MissingFileError: The folder has neither of the two exports.
        DataError: A file is malformed.
    """
    if path.is_file() and path.suffix != ".json":
        return read_yolo(path, options)
    splits = [options.split, _SPLITS.get(options.split, options.split), "."]
    files = [path] if path.is_file() else [path / split / FILE for split in splits if (path / split / FILE).is_file()]
    if not files:
        if any(path.glob("*.y*ml")):
            return read_yolo(path, options)
        raise MissingFileError(f"{path} has neither {options.split}/{FILE} nor a data.yaml: name a split with --split.")
    coco = read_coco(files[0])
    others = {id(each) for each in list_others(coco)}  # the project's own may be called like another category
    labels = from_coco({**coco, "categories": [each for each in coco["categories"] if id(each) not in others]})
    originals = {name.partition(".rf.")[0] for name in labels.images}
    num_copies = len(labels.images) - len(originals)
    notes = list(labels.notes)
    if num_copies:
        notes.append(
            f"Augmented copies of the same photographs: {num_copies:,} of {len(labels.images):,} images. Validate with "
            "the split that Roboflow made, because a random split would have copies in both parts."
        )
    return replace(labels, notes=notes)
