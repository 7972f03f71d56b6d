"""Images as files: list, read and write them, whatever their names and sizes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.inference.drawing import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def list_images(path: str | Path) -> list[Path]:
    """Return the images that ``path`` names: itself, or those in the folder, sorted by name.

    Raises:
        MissingFileError: There is no such file or folder, or no image in the folder.
    """
    given = Path(path)
    if given.is_file():
        return [given]
    if not given.is_dir():
        raise MissingFileError(f"There is no image or folder {given}.")
    found = sorted(entry for entry in given.iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file())
    if not found:
        raise MissingFileError(f"There is no image in {given}: looked for {', '.join(SUFFIXES)}.")
    return found


def read_image(path: Path) -> Image:
    """Return an image as (height, width, 3) BGR, turned upright as its EXIF data say.

    Raises:
        DataError: The file cannot be read or is not an image.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    return decode_image(content, path)


def decode_image(content: bytes, name: str | Path) -> Image:
    """Return the image in a file's ``content`` as (height, width, 3) BGR.

    Raises:
        DataError: It is not an image; the message calls it ``name``.
    """
    try:
        image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR) if content else None
    except cv2.error:  # for example more pixels than OpenCV's limit
        image = None
    if image is None:
        raise DataError(f"{name} is not an image that OpenCV can read.")
    if _is_cut_off(content):
        raise DataError(f"{name} is cut off: its end is missing.")
    return np.asarray(image, dtype=np.uint8)


def _is_cut_off(content: bytes) -> bool:
    """Tell whether a JPEG ends before its end, of which some versions of OpenCV show the upper part."""
    start_of_scan = content.rfind(b"\xff\xda")
    return content.startswith(b"\xff\xd8") and content.find(b"\xff\xd9", start_of_scan) < 0


def make_folder(path: str | Path, option: str = "") -> Path:
    """Make a folder if it is not there, and return it.

    Raises:
        ConfigError: It cannot be made; the message calls it what the user did, ``option``.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{option} {path} cannot be made a folder: {error.strerror}.".strip()) from error
    return Path(path)


def write_image(path: Path, image: Image) -> None:
    """Write an image in the format of the path's suffix, and its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_encoded, content = cv2.imencode(path.suffix, image)
    assert is_encoded, path  # only suffixes of ``SUFFIXES`` are written
    path.write_bytes(content.tobytes())
