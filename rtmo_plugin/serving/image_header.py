"""How many pixels an image has, from its first bytes: nothing is decoded, so that no small file fills the memory."""

from __future__ import annotations

import struct
from collections.abc import Callable

FORMATS = "JPEG, PNG, WebP or BMP"

Size = tuple[int, int]

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def read_size_wh(content: bytes) -> Size | None:
    """Return width and height of an image file's content; None if it is not of ``FORMATS``, or its header is broken.

    Example:
        >>> read_size_wh(b"GIF89a")
    """
    readers = (read for start, read in _READERS.items() if content.startswith(start))
    try:
        size = next(readers, _refuse)(content)
    except (struct.error, IndexError):  # it ends within its header
        return None
    return size if size and min(size) > 0 else None


def _read_png(content: bytes) -> Size | None:
    width, height = struct.unpack_from(">II", content, 16)
    return (width, height) if content[12:16] == b"IHDR" else None


def _read_bmp(content: bytes) -> Size:
    (header,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", content, 18)
    return width, abs(height)  # negative where the rows come from top to bottom


def _read_webp(content: bytes) -> Size | None:
    kind = content[12:16] if content[8:12] == b"WEBP" else b""
    if kind == b"VP8X":
        return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _read_jpeg(content: bytes) -> Size | None:
    """Go from segment to segment until the one that begins the image."""
    at = 2
    while content[at] == 0xFF:
        if content[at + 1] == 0xFF:  # filling
            at += 1
            continue
        marker, length = struct.unpack_from(">BH", content, at + 1)
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        if length < 2:
            return None
        at += 2 + length
    return None


def _refuse(_: bytes) -> None:
    return None


_READERS: dict[bytes, Callable[[bytes], Size | None]] = {
    b"\xff\xd8\xff": _read_jpeg,
    b"\x89PNG\r\n\x1a\n": _read_png,
    b"RIFF": _read_webp,
    b"BM": _read_bmp,
}
