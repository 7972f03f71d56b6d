"""The formats that a COCO file can be converted to and from, behind one door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtmo_plugin.labels import cvat, labelme, yolo, yolo_files
from rtmo_plugin.labels.patches import Align, align_by_order
from rtmo_plugin.labels.tree import Schema, Sizes, Tree


def _find_no_hint(documents: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Format:
    """How one format is read, written, and turned into a tree and back.

    Attributes:
        read: Documents (what JSON holds) of a path and a split.
        write: Writes documents to a path and a split.
        encode: Documents of a tree and a hint.
        decode: Tree of documents, keypoint names and image sizes.
        find_schema: Keypoint names by category of documents, given names and those of the side file.
        find_hint: What ``encode`` must know to write such documents again.
        align: Which items of two documents are the same one (see ``patches``).
        side_name: Where the side file stands, of the path that is written.
        find_pictures: Picture files by name, of a path, a split and a folder, if one is given: for a format that
            does not say how large images are.
    """

    read: Callable[[Path, str], Any]
    write: Callable[[Path, str, Any], None]
    encode: Callable[[Tree, dict[str, Any]], Any]
    decode: Callable[[Any, Schema, Sizes], Tree]
    find_schema: Callable[[Any, list[str] | None, Schema], Schema]
    find_hint: Callable[[Any], dict[str, Any]] = _find_no_hint
    align: Align = align_by_order
    side_name: Callable[[Path], Path] = lambda folder: folder / labelme.SIDE_NAME
    find_pictures: Callable[[Path, str, Path | None], dict[str, Path]] | None = None


FORMATS = {
    "yolo": Format(
        yolo_files.read_yolo, yolo_files.write_yolo,
        yolo.encode_yolo, yolo.decode_yolo, yolo.find_schema, yolo.find_hint,
        side_name=lambda path: (path.parent if path.is_file() else path) / labelme.SIDE_NAME,
        find_pictures=yolo_files.find_pictures,
    ),
    "labelme": Format(
        lambda path, split: labelme.read_labelme(path),
        lambda path, split, documents: labelme.write_labelme(path, documents),
        labelme.encode_labelme, labelme.decode_labelme, labelme.find_schema, align=labelme.align_shapes,
    ),
    "cvat": Format(
        lambda path, split: cvat.read_cvat(path),
        lambda path, split, root: cvat.write_cvat(path, root),
        cvat.encode_cvat, cvat.decode_cvat, cvat.find_schema, align=cvat.align_elements,
        side_name=lambda path: path.with_name(f"{path.stem}.{labelme.SIDE_NAME}"),
    ),
}  # fmt: skip
