"""Image files: list and write them."""

from __future__ import annotations

from pathlib import Path

import cv2

from rtmo_plugin.errors import ConfigError, MissingFileError
from rtmo_plugin.files import write_file
from rtmo_plugin.media.drawing import Image
from rtmo_plugin.media.image_headers import SUFFIXES


def list_images(path: str | Path) -> list[Path]:
    """Return the image at ``path``, or the images in that folder, sorted by name.

    Raises:
        MissingFileError: The file or folder does not exist, or the folder has no image.
    """
    given = Path(path)
    if given.is_file():
        return [given]
    if not given.is_dir():
        raise MissingFileError(f"The image or folder {given} does not exist.")
    found = sorted(entry for entry in given.iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file())
    if not found:
        raise MissingFileError(f"No image was found in {given}: looked for {', '.join(SUFFIXES)}.")
    return found


def make_folder(path: str | Path, option: str = "") -> Path:
    """Make a folder if it does not exist, and return its path.

    Raises:
        ConfigError: The folder cannot be made; the message names the ``option``.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{option} {path} cannot be made a folder: {error.strerror}.".strip()) from error
    return Path(path)


def write_image(path: Path, image: Image) -> Path:
    """Write an image in the format of the path's suffix, whole or not at all, and make its folder.

    Returns:
        The path.

    Raises:
        OutputError: The file cannot be written.
    """
    is_encoded, content = cv2.imencode(path.suffix, image)
    assert is_encoded, path  # only suffixes of ``SUFFIXES`` are written
    return write_file(path, content.tobytes())
