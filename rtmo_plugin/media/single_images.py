"""A single image from a file, a web address, file content, an array or a Pillow image."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.media.frames import Entry, Frame
from rtmo_plugin.media.images import convert_image, download_image, read_image

_WEB = ("http://", "https://")


def open_image(source: Any) -> Entry:
    """Return a function that gives the frame of one image; files and addresses are read when it is called.

    Raises:
        MissingFileError: The file does not exist.
        DataError: An object is not an image; for a file or an address, this is the error of the frame.
    """
    if isinstance(source, (str, Path)):
        name = str(source)
        if not is_web(name) and not os.path.exists(name):
            raise MissingFileError(f"The image, video or folder {name} does not exist.")
        return partial(_read_image, name)
    image = convert_image(source)
    return lambda index: Frame(image, f"image {index}", None, index)


def _read_image(name: str, index: int) -> Frame:
    is_address = is_web(name)
    path = None if is_address else Path(name)
    try:
        image = download_image(name) if path is None else read_image(path)
    except (DataError, MissingFileError) as error:  # the file may have been removed since it was listed
        return Frame(None, name, path, index, error=str(error))
    return Frame(image, name, path, index)


def is_web(name: str) -> bool:
    """Return whether a name is a web address."""
    return name[: len(_WEB[-1])].lower().startswith(_WEB)
