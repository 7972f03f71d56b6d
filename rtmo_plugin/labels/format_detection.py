"""Which tool wrote a label file or folder, as its name and first bytes say."""

from __future__ import annotations

import re
from pathlib import Path

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import open_regular
from rtmo_plugin.labels.tool_files import label_studio, roboflow, supervisely

_HEAD_BYTES = 200_000
_SUFFIXES = {".slp": "sleap", ".h5": "deeplabcut", ".xml": "cvat", ".yaml": "yolo", ".yml": "yolo"}
_CONTENTS = (
    ("via", re.compile(rb'"_via_img_metadata"|"shape_attributes"|region_shape_attributes|"regions"\s*:')),
    ("deeplabcut", re.compile(rb'\A"?scorer"?,')),
    (
        "label-studio",
        re.compile(rb'\A\s*\[\s*\{(?=.*("annotations"|"predictions"|"completions"|labels"\s*:))', re.DOTALL),
    ),
    ("datumaro", re.compile(rb'"dm_format_version"|"categories"\s*:\s*\{')),
)
_FOLDERS = (
    ("label-studio", label_studio.TASKS),
    ("supervisely", supervisely.META),
    ("roboflow", roboflow.FILE),
    ("roboflow", f"*/{roboflow.FILE}"),
    ("yolo", "*.yaml"),
    ("yolo", "*.yml"),
    ("deeplabcut", "CollectedData*"),
    ("deeplabcut", "labeled-data/*/CollectedData*"),
)


def detect_format(path: Path) -> str:
    """Return the key in ``FORMATS`` of a label file or folder; ``coco`` for JSON without signs of another format.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It cannot be opened, is not a regular file, or is a ZIP archive.
    """
    if path.is_dir():
        return next((name for name, pattern in _FOLDERS if next(path.glob(pattern), None)), "labelme")
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    if path.name == supervisely.META:
        return "supervisely"
    if path.name.endswith(roboflow.FILE):
        return "roboflow"
    with open_regular(path) as file:
        head = file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
    if head.startswith(b"PK\x03\x04"):
        raise DataError(f"{path} is a ZIP archive: unpack it, and name the label file or folder in it.")
    return next((name for name, pattern in _CONTENTS if pattern.search(head)), "coco")
