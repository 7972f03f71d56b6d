"""The formats that a COCO file can be converted to and from, behind one door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rtmo_plugin.labels.cvat import read_cvat, write_cvat
from rtmo_plugin.labels.label_set import LabelSet, ReadOptions
from rtmo_plugin.labels.labelme import read_labelme, write_labelme
from rtmo_plugin.labels.yolo import read_yolo, write_yolo


@dataclass(frozen=True)
class Format:
    """How one format is read and written.

    Attributes:
        title: Name of the format in messages.
        read: Reads a path.
        write: Writes labels to a path that does not exist yet, for a split.
        holds: Fields of a category that the format has besides the keypoints.
        is_folder: Whether the format is a folder rather than a file.
        about: Sentence on what the labels need on the way back, if anything.
    """

    title: str
    read: Callable[[Path, ReadOptions], LabelSet]
    write: Callable[[LabelSet, Path, str], None]
    holds: frozenset[str] = frozenset()
    is_folder: bool = True
    about: str = ""


FORMATS = {
    "yolo": Format(
        "YOLO", read_yolo, write_yolo, frozenset({"flip_pairs"}),
        about="YOLO labels are fractions of the image: its images belong in images/ beside labels/.",
    ),
    "labelme": Format(
        "LabelMe", read_labelme, write_labelme,
        about="LabelMe has no order of keypoints: name them with --keypoints on the way back.",
    ),
    "cvat": Format("CVAT", read_cvat, write_cvat, frozenset({"skeleton"}), is_folder=False),
}  # fmt: skip
