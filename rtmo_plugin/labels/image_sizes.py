"""Names and sizes of images, for label files that do not hold them or hold another path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from rtmo_plugin.errors import DataError
from rtmo_plugin.labels.image_inspection import find_moved_images
from rtmo_plugin.labels.label_set import ReadOptions
from rtmo_plugin.media.image_headers import read_image_size


def find_sizes(names: Iterable[str], beside: Path, options: ReadOptions) -> dict[str, tuple[str, tuple[int, int]]]:
    """Return path and upright (width, height) of the images of a label file, by their name in it.

    Images are looked for in the folder of the option ``images``, else beside the label file: at their path, else at
    the longest end of it that one file has.

    Args:
        names: Image names in the label file.
        beside: Folder of the label file.
        options: Folder of the images, or their sizes.

    Raises:
        DataError: An image is missing or cannot be read.
    """
    folder, wanted = options.images or beside, list(names)
    if options.sizes is not None:
        return {name: (name, options.sizes[name]) for name in wanted}
    inner = {
        name: "/".join(part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")) for name in wanted
    }
    moved = find_moved_images(inner.values(), folder)
    places = {name: moved.get(path, path) for name, path in inner.items()}
    missing = [name for name, place in places.items() if not (folder / place).is_file()]
    if missing:
        raise DataError(
            f"The size of the image {missing[0]} is not known, as the image is missing in {folder}: add it, or name "
            "the folder of the images with --images."
        )
    return {name: (place, read_image_size(folder / place)) for name, place in places.items()}
