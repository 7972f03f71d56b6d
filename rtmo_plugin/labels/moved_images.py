"""Image files that are not where a label file says, because it comes from another folder, machine or system."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path


def find_moved_images(names: Iterable[str], folder: str | Path) -> dict[str, str]:
    """Return the path below ``folder`` of files that are not where their names say, if only one can be meant.

    Leading folders of a name may be missing, separators may be those of Windows, and case may differ.

    Args:
        names: File names of a label file.
        folder: Folder of the images.
    """
    lost = [name for name in names if name and not Path(folder, name).is_file()]
    if not lost:
        return {}
    root = Path(folder)
    present = {
        Path(parent, name).relative_to(root).as_posix(): None for parent, _, files in os.walk(root) for name in files
    }
    by_tail: dict[str, set[str]] = defaultdict(set)
    for place in present:
        parts = place.casefold().split("/")
        for start in range(len(parts)):
            by_tail["/".join(parts[start:])].add(place)
    found = {name: _find_place(name, set(present), by_tail) for name in lost}
    return {name: place for name, place in found.items() if place is not None}


def _find_place(name: str, present: set[str], by_tail: dict[str, set[str]]) -> str | None:
    """Return the file with the longest common end, or None if there is none or more than one."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    for start in range(len(parts)):
        tail = "/".join(parts[start:])
        if tail in present:
            return tail
        candidates = by_tail.get(tail.casefold(), set())
        if candidates:
            return next(iter(candidates)) if len(candidates) == 1 else None
    return None
