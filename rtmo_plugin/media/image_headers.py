"""Headers of image files: format, upright size and orientation, and limits that are checked before decoding.

Pillow reads the headers, without decoding a pixel. Every path that reads images begins here, so all paths agree on
formats, orientation and limits. OpenCV is not imported, so that labels can be checked without it.
"""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.files import open_regular

if TYPE_CHECKING:
    from PIL import Image, ImageFile

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
FORMATS = "JPEG, PNG, WebP, BMP or TIFF"
VARIABLE = "RTMO_MAX_MEGAPIXELS"

MAX_IMAGE_BYTES = 2 * 10**9
MAX_PIXELS = 200 * 10**6  # the largest photos of phones; three bytes each when decoded
MAX_SCANS = 100  # of a JPEG; cameras and encoders write 1 to 10
MAX_SCAN_PIXELS = 25 * 10**8  # scans times pixels, which is what decoding a progressive JPEG costs
_MAX_SEGMENTS = 10_000
_MAX_CHUNKS = 200_000  # of a PNG, where 8 KiB each are usual
_MAX_READS = 20_000  # that Pillow makes in a header; usual are below 100

# First bytes, and Pillow's class, of which only that of the file at hand is imported.
_PLUGINS = (
    (re.compile(rb"\xff\xd8\xff"), "JpegImagePlugin.JpegImageFile"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PngImagePlugin.PngImageFile"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebPImagePlugin.WebPImageFile"),
    (re.compile(rb"BM"), "BmpImagePlugin.BmpImageFile"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "TiffImagePlugin.TiffImageFile"),
    (re.compile(rb"P[1-6]\s"), "PpmImagePlugin.PpmImageFile"),
    (re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), "Jpeg2KImagePlugin.Jpeg2KImageFile"),
)
_NUM_MAGIC = 16
_SIXTEEN_BIT_FILES = ("PNG", "PPM", "JPEG2000")  # whose 16-bit pixels older versions of Pillow give as 32-bit numbers
_HEIF = re.compile(rb"....ftyp(heic|heix|hevc|mif1|msf1|avif|avis)", re.DOTALL)
_ORIENTATION, _SHORT = 0x0112, 3  # EXIF tag and type
_WIDTH, _HEIGHT = 256, 257  # TIFF tags
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # begins a segment; what else follows 0xFF belongs to the data
_END, _SCAN = 0xD9, 0xDA

# Pillow warns of damaged EXIF data, of which only the orientation is used here.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")


class NotAnImageError(DataError):
    """File that is not an image of a known format."""


class ImageLimitError(DataError):
    """Image that exceeds a limit of bytes, pixels or scans."""


class ImageHeader(NamedTuple):
    """Header of an image file.

    Attributes:
        kind: Format, as Pillow names it, such as ``JPEG``.
        size_wh: Width and height of the upright image.
        orientation: EXIF orientation, 1 to 8, of the stored pixels.
    """

    kind: str
    size_wh: tuple[int, int]
    orientation: int = 1


def list_pillow_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that Pillow raises for damaged headers and pixels."""
    from PIL.Image import DecompressionBombError  # slow to import, and only images of some sources need it

    plain = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, MemoryError, struct.error, zlib.error)
    return (*plain, DecompressionBombError)


def choose_max_pixels() -> int:
    """Return the largest number of pixels of an image: ``MAX_PIXELS``, or what ``RTMO_MAX_MEGAPIXELS`` says.

    Raises:
        ConfigError: The variable does not hold a positive number.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return MAX_PIXELS
    try:
        megapixels = float(text)
    except ValueError:
        megapixels = 0.0
    if not 0 < megapixels < 1e6:
        raise ConfigError(f"{VARIABLE}={text}: give the largest number of megapixels, such as 200.")
    return int(megapixels * 10**6)


def read_header(content: bytes, name: str | Path = "The image", max_pixels: int | None = None) -> ImageHeader:
    """Return the header of an image file's content, after checking that decoding it stays within the limits.

    Args:
        content: Whole content of the file.
        name: Name of the image in messages.
        max_pixels: Largest number of pixels. Default: see :func:`choose_max_pixels`.

    Raises:
        DataError: The content is not an image, has too many pixels or scans, or lacks its end.
    """
    header = _read(io.BytesIO(content), name)
    check_pixels(header.size_wh, name, max_pixels)
    if header.kind == "JPEG":
        _check_scans(content, header, name)
    elif header.kind == "PNG":
        _check_chunks(content, name)
    elif header.kind == "WEBP" and len(content) < 8 + int.from_bytes(content[4:8], "little"):
        raise DataError(f"{name} is cut off: its end is missing.")
    return header


def check_pixels(size_wh: tuple[int, int], name: str | Path, max_pixels: int | None = None) -> None:
    """Check the number of pixels of an image.

    Args:
        size_wh: Width and height of the image.
        name: Name of the image in messages.
        max_pixels: Largest number of pixels. Default: see :func:`choose_max_pixels`.

    Raises:
        DataError: The image has too many pixels.
    """
    limit = choose_max_pixels() if max_pixels is None else max_pixels
    if size_wh[0] * size_wh[1] > limit:
        advice = f"the environment variable {VARIABLE} raises it" if max_pixels is None else "use a smaller image"
        raise ImageLimitError(
            f"{name} has {size_wh[0]} x {size_wh[1]} pixels, more than the limit of {limit / 1e6:g} million; {advice}."
        )


def read_image_size(path: str | Path) -> tuple[int, int]:
    """Return width and height of the upright image in a file, from its first bytes.

    Raises:
        MissingFileError: The file does not exist.
        DataError: The file cannot be read, is not an image, or has too many pixels.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > MAX_IMAGE_BYTES:
            raise ImageLimitError(f"{path} is larger than {MAX_IMAGE_BYTES / 1e9:g} GB, the limit for an image.")
        header = _read(file, path)
    check_pixels(header.size_wh, path)
    return header.size_wh


def open_with_pillow(content: bytes) -> ImageFile.ImageFile:
    """Return Pillow's image of a file's content whose header was read, not decoded yet.

    Only the formats of this module are opened, and no other of Pillow's plugins is tried.
    """
    plugin = _find_plugin(content[:_NUM_MAGIC])
    image: ImageFile.ImageFile = plugin(io.BytesIO(content), "")
    return image


def check_pixel_data(content: bytes, name: str | Path = "The image") -> None:
    """Check that the pixels of an image file's content, whose header was read, can be decoded.

    Every byte of a JPEG is decoded, but into few pixels.

    Raises:
        DataError: The pixels are damaged, or their values have no fixed range.
    """
    with explain_damage(name):
        image = open_with_pillow(content)
        image.draft("RGB", (1, 1))
        image.load()
    check_mode(image, name)


@contextmanager
def explain_damage(name: str | Path) -> Iterator[None]:
    """Turn the exceptions of Pillow for damaged pixels into one sentence.

    Raises:
        DataError: The image cannot be decoded; the message calls it ``name``.
    """
    try:
        yield
    except DataError:
        raise
    except list_pillow_errors() as error:
        raise DataError(f"{name} cannot be decoded: {str(error) or type(error).__name__}.") from None


def check_mode(image: Image.Image, name: str | Path) -> bool:
    """Check that the pixels of Pillow's image have a known range, and return whether they have 16 bits.

    Raises:
        DataError: The pixels are 32-bit numbers or Lab colors.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _SIXTEEN_BIT_FILES):
        return True
    if image.mode in ("I", "F", "LAB"):
        raise DataError(f"{name} has pixels of mode {image.mode}, whose range is not known: convert it to RGB.")
    return False


def read_orientation(exif: bytes | None) -> int:
    """Return the orientation in EXIF data, 1 to 8; 1 if it is missing or the data are damaged.

    Examples:
        >>> read_orientation(bytes.fromhex("4d4d002a00000008 0001 0112 0003 00000001 00060000 00000000"))
        6
    """
    data = (exif or b"").removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for number in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", data, start + 2 + 12 * number)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:  # the data end too early
        pass
    return 1


class _CountingReader(io.BufferedIOBase):
    """A file from which Pillow can read a header, but not much more.

    Args:
        file: Opened file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self._left = file, _MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            OSError: The header has too many parts.
        """
        self._left -= 1
        if self._left < 0:
            raise OSError("its header has too many parts")
        return self.file.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place and return it."""
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self.file.tell()

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True


def _find_plugin(magic: bytes) -> Any:
    """Return Pillow's class for a file that begins like this, or None."""
    for pattern, plugin in _PLUGINS:
        if pattern.match(magic):
            module, _, name = plugin.partition(".")
            return getattr(import_module(f"PIL.{module}"), name)
    return None


def _read(file: BinaryIO, name: str | Path) -> ImageHeader:
    """Return what a header says.

    Raises:
        DataError: It cannot be read; the message calls the image ``name``.
    """
    magic = file.read(_NUM_MAGIC)
    plugin = _find_plugin(magic)
    if plugin is None:
        is_heif = _HEIF.match(magic) is not None
        advice = f"is a HEIF or AVIF image: convert it to {FORMATS}" if is_heif else f"is not an image: give {FORMATS}"
        raise NotAnImageError(f"{name} {advice}.")
    file.seek(0)
    reader = _CountingReader(file)
    try:
        image = plugin(reader, "")
        header = _describe(image, reader)
    except list_pillow_errors() as error:
        reason = str(error) or type(error).__name__
        raise NotAnImageError(f"{name} is not an image that can be read: {reason}.") from None
    if min(header.size_wh) < 1:
        raise NotAnImageError(f"{name} is not an image that can be read: it has no pixels.")
    return header


def _describe(image: ImageFile.ImageFile, reader: _CountingReader) -> ImageHeader:
    size_wh, orientation = image.size, 1
    if image.format == "TIFF":
        # Whether ``size`` is upright depends on the version of Pillow; the tags are as stored.
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        size_wh, orientation = (int(tags[_WIDTH]), int(tags[_HEIGHT])), tags.get(_ORIENTATION, 1)
    elif image.format == "PNG":
        orientation = read_orientation(image.info.get("exif") or _find_png_exif(reader))
    else:
        orientation = read_orientation(image.info.get("exif"))
    is_known = isinstance(orientation, int) and 1 <= orientation <= 8
    is_turned = is_known and orientation >= 5
    return ImageHeader(image.format or "", size_wh[::-1] if is_turned else size_wh, orientation if is_known else 1)


def _find_png_exif(reader: _CountingReader) -> bytes | None:
    """Return the EXIF data of a PNG, also from behind the pixels, where Pillow finds them only when it decodes."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        reader.seek(at)
        start = reader.file.read(8)
        if len(start) < 8 or start[4:] == b"IEND":
            return None
        size = int.from_bytes(start[:4], "big")
        if start[4:] == b"eXIf":
            return reader.file.read(min(size, 2**16))
        at += 12 + size
    return None


def _check_chunks(content: bytes, name: str | Path) -> None:
    """Go through the chunks of a PNG to its end: some versions of OpenCV take seconds for a chunk that is cut off."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        if content[at + 4 : at + 8] == b"IEND":
            return
        at += 12 + int.from_bytes(content[at : at + 4], "big")
        if at > len(content):
            raise DataError(f"{name} is cut off: its end is missing.")
    raise ImageLimitError(f"{name} has more than {_MAX_CHUNKS} chunks, the limit for a PNG; save it again.")


def _check_scans(content: bytes, header: ImageHeader, name: str | Path) -> None:
    """Go through the segments of a JPEG, and refuse what takes unusually long to decode or has no end."""
    at, scans = 2, 0
    limit = min(MAX_SCANS, MAX_SCAN_PIXELS // (header.size_wh[0] * header.size_wh[1]))
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(content, at)
        if found is None:
            raise DataError(f"{name} is cut off: its end is missing.")
        at = found.end()
        marker = content[at - 1]
        if marker == _END:
            return
        scans += marker == _SCAN
        if scans > limit:
            raise ImageLimitError(
                f"{name} is a progressive JPEG of more than {limit} scans, the limit for "
                f"{header.size_wh[0]} x {header.size_wh[1]} pixels; save it again."
            )
        at += int.from_bytes(content[at : at + 2], "big")
    raise ImageLimitError(f"{name} has more than {_MAX_SEGMENTS} segments, the limit for a JPEG; save it again.")
