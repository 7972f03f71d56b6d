"""The one reader of images, which gives the same upright pixels for every kind of source.

OpenCV decodes JPEG, PNG and WebP, as MMPose does; Pillow decodes the other formats. The orientation is applied here and
not by the decoders, which differ between formats and versions.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.downloads import ERRORS, DownloadLimitError, open_url
from rtmo_plugin.errors import DataError
from rtmo_plugin.files import read_bytes
from rtmo_plugin.media.image_headers import (
    MAX_IMAGE_BYTES,
    check_mode,
    check_pixels,
    explain_damage,
    open_with_pillow,
    read_header,
    read_orientation,
)

Image = NDArray[np.uint8]

MAX_DOWNLOAD_BYTES = 100 * 10**6
DOWNLOAD_TIMEOUT_S = 30.0  # for the header of the response, and for each 64 KiB
DOWNLOAD_TOTAL_S = 300.0

_OPENCV_KINDS = ("JPEG", "PNG", "WEBP")


def read_image(path: str | Path) -> Image:
    """Return the image in a file, (height, width, 3) BGR, upright.

    Raises:
        MissingFileError: The file does not exist.
        DataError: The file cannot be read, is not an image, is damaged, or exceeds a limit.
    """
    return decode_image(read_bytes(path, MAX_IMAGE_BYTES), path)


def decode_image(content: bytes, name: str | Path = "The image", max_pixels: int | None = None) -> Image:
    """Return the image in a file's content, (height, width, 3) BGR, upright.

    Gray and palette images get three channels, 16-bit ones keep the high byte, and transparency is dropped. A file with
    several images gives the first.

    Args:
        content: Whole content of the file.
        name: Name of the image in messages.
        max_pixels: Largest number of pixels. Default: 200 million, or what ``RTMO_MAX_MEGAPIXELS`` says.

    Raises:
        DataError: The content is not an image, is damaged, or exceeds a limit.
    """
    header = read_header(content, name, max_pixels)
    if header.kind not in _OPENCV_KINDS:
        with explain_damage(name):
            return _convert_pillow(open_with_pillow(content), name)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags)
    except cv2.error:  # for example more pixels than OpenCV's own limit
        image = None
    if image is None:
        raise DataError(f"{name} is damaged: its pixels cannot be decoded.")
    return turn_upright(np.asarray(image, dtype=np.uint8), header.orientation)


def download_image(url: str) -> Image:
    """Return the image at a web address, (height, width, 3) BGR, upright.

    Raises:
        DataError: The address cannot be read, or its content is not an image, is damaged, exceeds a limit, or arrives
            too slowly.
    """
    try:
        with open_url(url, timeout_s=DOWNLOAD_TIMEOUT_S, total_s=DOWNLOAD_TOTAL_S) as answer:
            content = b"".join(answer.read_chunks(MAX_DOWNLOAD_BYTES))
    except DownloadLimitError as error:
        raise DataError(f"{url} {error} for an image.") from error
    except ERRORS as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"{url} cannot be read: {getattr(reason, 'strerror', None) or reason}.") from error
    return decode_image(content, url)


def convert_image(source: Any, name: str | Path = "The image") -> Image:
    """Return a Python object as an image, (height, width, 3) BGR, upright.

    Args:
        source: File content, Pillow image, or ``uint8`` array, (height, width) or (height, width, 1, 3 or 4)
            with BGR channels.
        name: Name of the image in messages.

    Raises:
        DataError: It is not an image, or exceeds a limit.
    """
    if isinstance(source, (bytes, bytearray, memoryview, io.BytesIO)):
        return decode_image(source.getvalue() if isinstance(source, io.BytesIO) else bytes(source), name)
    if is_pillow(source):
        with explain_damage(name):
            return _convert_pillow(source, name)
    return _convert_array(np.asarray(source))


def is_pillow(source: Any) -> bool:
    """Return whether an object is a Pillow image, also of a derived class."""
    return any(each.__module__.startswith("PIL.") for each in type(source).__mro__)


def turn_upright(image: Image, orientation: int) -> Image:
    """Return stored pixels, (height, width) or (height, width, C), turned as their EXIF orientation says.

    Examples:
        >>> turn_upright(np.array([[1, 2, 3], [4, 5, 6]], np.uint8), 6).tolist()
        [[4, 1], [5, 2], [6, 3]]
    """
    if orientation >= 5:
        image = np.asarray(cv2.transpose(image), np.uint8)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return np.asarray(image if flip is None else cv2.flip(image, flip), np.uint8)


def _convert_pillow(image: Any, name: str | Path) -> Image:
    """Return a Pillow image as upright BGR pixels.

    Raises:
        DataError: The image has too many pixels, or values without a fixed range.
    """
    check_pixels(image.size, name)
    _load_pixels(image)  # only then are EXIF data behind the pixels known, and TIFF images upright
    orientation = 1 if image.format == "TIFF" else read_orientation(image.info.get("exif"))
    if check_mode(image, name):
        high = (np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)
        pixels = np.repeat(high[..., None], 3, axis=2)
    else:
        image = image.convert("RGBA") if image.mode in ("RGBa", "PA", "La") else image
        pixels = np.asarray(cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR), np.uint8)
    return turn_upright(pixels, orientation)


def _load_pixels(image: Any) -> None:
    """Decode with Pillow, without a memory map, where Pillow confuses rows and columns of a turned TIFF image."""
    filename = getattr(image, "filename", "")
    if image.format == "TIFF" and filename:
        image.filename = ""
    try:
        image.load()
    finally:
        if filename:
            image.filename = filename


def _convert_array(image: NDArray[Any]) -> Image:
    """Return an array as (height, width, 3).

    Raises:
        DataError: The array is not a ``uint8`` image.
    """
    is_image = image.dtype == np.uint8 and image.size > 0 and image.ndim in (2, 3)
    if not is_image or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise DataError(
            f"An array of shape {image.shape} and type {image.dtype} is not an image: give (height, width, 3) BGR, "
            "uint8."
        )
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(image[..., :3])
