"""One image, whatever it is given as: a file, a web address, a file's content, an array or an image of Pillow."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.media.frames import Entry, Frame
from rtmo_plugin.media.images import convert_image, download_image, read_image

_WEB = ("http://", "https://")


def open_image(source: Any) -> Entry:
    """Return what gives the frame of one image; files and addresses are read when it is called.

    Raises:
        MissingFileError: There is no such file.
        DataError: It is not an image; of a file or an address that is the frame's error.
    """
    if isinstance(source, (str, Path)):
        name = str(source)
        if not is_web(name) and not os.path.exists(name):
            raise MissingFileError(f"There is no image, video or folder {name}.")
        return partial(_read_image, name)
    return partial(_make_frame, convert_image(source))


def _read_image(name: str, index: int) -> Frame:
    is_address = is_web(name)
    path = None if is_address else Path(name)
    try:
        image = download_image(name) if path is None else read_image(path)
    except (DataError, MissingFileError) as error:  # the file may have gone since it was found
        return Frame(None, name, path, index, error=str(error))
    return Frame(image, name, path, index)


def is_web(name: str) -> bool:
    """Tell whether a name is a web address."""
    return name[: len(_WEB[-1])].lower().startswith(_WEB)


def _make_frame(image: NDArray[Any], index: int) -> Frame:
    return Frame(image, f"image {index}", None, index)
