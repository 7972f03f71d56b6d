"""Images as files: list and write them, whatever their names and sizes."""

from __future__ import annotations

from pathlib import Path

import cv2

from rtmo_plugin.errors import ConfigError, MissingFileError
from rtmo_plugin.files import write_file
from rtmo_plugin.media.drawing import Image
from rtmo_plugin.media.image_headers import SUFFIXES


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


def make_folder(path: str | Path, option: str = "") -> Path:
    """Make a folder if it is not there, and return it.

    Raises:
        ConfigError: It cannot be made; the message calls it by its ``option``.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{option} {path} cannot be made a folder: {error.strerror}.".strip()) from error
    return Path(path)


def write_image(path: Path, image: Image) -> Path:
    """Write an image in the format of the path's suffix, whole or not at all, and its folder if need be.

    Returns:
        The path.

    Raises:
        OutputError: It cannot be written.
    """
    is_encoded, content = cv2.imencode(path.suffix, image)
    assert is_encoded, path  # only suffixes of ``SUFFIXES`` are written
    return write_file(path, content.tobytes())
