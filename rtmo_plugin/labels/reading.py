"""Options of the readers of all formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReadOptions:
    """What the user, or a conversion that reads back what it wrote, knows about labels.

    Attributes:
        split: Split of a YOLO folder.
        keypoints: Keypoint names in order, for all categories or by category. Default: what the format says.
        images: Folder of a YOLO folder's images. Default: where data.yaml says.
        sizes: Image width and height by file name, for a YOLO folder without images. Default: read from the images.
    """

    split: str = "train"
    keypoints: list[str] | Mapping[str, list[str]] | None = None
    images: Path | None = None
    sizes: Mapping[str, tuple[int, int]] | None = None

    def choose_keypoints(self, category: str, found: list[str] | None) -> list[str]:
        """Return the keypoint names that were given for a category, else those ``found`` in the files."""
        if isinstance(self.keypoints, Mapping):
            return list(self.keypoints.get(category) or found or [])
        return list(self.keypoints or found or [])
