"""Rotation of videos: how frames must be turned or mirrored to be upright, read from the file itself.

A phone stores every video as its sensor lies and adds a matrix to the header. Versions of OpenCV differ: 4.6 turns
portrait videos upside down, 4.11 does not turn them at all, and none of them mirrors. So OpenCV is told
to leave the frames alone, and the matrix is read here from MP4, MOV and related files. For other files and
for streams the angle that OpenCV reports is used.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
from numpy.typing import NDArray

_CONTAINERS = (b"moov", b"trak", b"mdia")
_MAX_HEADER = 1024  # bytes of a box that are read; the matrix and the kind of a track lie in the first hundred
_MAX_BOXES = 100_000  # of a damaged or hostile file; a real one has a few dozen above the samples
_MATRIX_AT = {b"mvhd": (36, 48), b"tkhd": (40, 52)}  # bytes before the matrix in version 0 and 1 of a box
_UNIT = 1 << 16  # of fixed-point numbers

_Matrix = tuple[int, int, int, int]  # a, b, c, d: x' = a x + c y, y' = b x + d y


@dataclass(frozen=True)
class Turn:
    """Turn that makes stored frames upright: they are first transposed, then mirrored.

    Attributes:
        is_transposed: Whether rows and columns are exchanged.
        is_mirrored_x: Whether left and right are exchanged.
        is_mirrored_y: Whether top and bottom are exchanged.
    """

    is_transposed: bool = False
    is_mirrored_x: bool = False
    is_mirrored_y: bool = False

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return an upright frame, (height, width, 3)."""
        if self.is_transposed:
            image = cv2.transpose(image)
        if self.is_mirrored_x or self.is_mirrored_y:
            image = cv2.flip(image, -1 if self.is_mirrored_x and self.is_mirrored_y else int(self.is_mirrored_x))
        return image


def make_turn(degrees: float) -> Turn:
    """Return the turn by an angle in degrees clockwise, rounded to quarters.

    Examples:
        >>> make_turn(90)
        Turn(is_transposed=True, is_mirrored_x=True, is_mirrored_y=False)
    """
    quarters = round(degrees / 90) % 4
    return Turn(quarters in (1, 3), quarters in (1, 2), quarters in (2, 3))


def read_turn(path: str | Path) -> Turn | None:
    """Return the turn of the first video track of an MP4 or MOV file; None for any other file."""
    try:
        with Path(path).open("rb") as file:
            boxes = _Boxes(file, os.fstat(file.fileno()).st_size)
            return boxes.find_turn()
    except (OSError, struct.error):
        return None


class _Boxes:
    """Nested boxes of a file, each with a length, a name of four letters, and content."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._num_read = file, size, 0

    def find_turn(self) -> Turn | None:
        """Return the turn of the first video track."""
        movie: _Matrix = (_UNIT, 0, 0, _UNIT)
        track: _Matrix | None = None
        for name, header in self._walk(0, self._size):
            if name == b"mvhd":
                movie = _read_matrix(name, header)
            elif name == b"tkhd":
                track = _read_matrix(name, header)
            elif name == b"hdlr" and header[8:12] == b"vide" and track is not None:
                return _find_common_turn(track, movie)
        return None

    def _walk(self, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield the name and the first bytes of all boxes between two offsets, in file order."""
        while start + 8 <= end and self._num_read < _MAX_BOXES:
            self._num_read += 1
            self._file.seek(start)
            header = self._file.read(16)
            length, name = struct.unpack(">I4s", header[:8])
            content = start + 8
            if length == 1:  # a long one
                length, content = struct.unpack(">Q", header[8:16])[0], start + 16
            stop = end if length == 0 else min(start + length, end)
            if stop < content:
                return
            if name in _CONTAINERS:
                yield from self._walk(content, stop)
            elif name in (*_MATRIX_AT, b"hdlr"):
                self._file.seek(content)
                yield name, self._file.read(min(stop - content, _MAX_HEADER))
            start = stop


def _read_matrix(name: bytes, header: bytes) -> _Matrix:
    a, b, _, c, d = struct.unpack_from(">5i", header, _MATRIX_AT[name][header[:1] == b"\x01"])
    return a, b, c, d


def _find_common_turn(track: _Matrix, movie: _Matrix) -> Turn:
    """Return the turn by the product of two matrices, of whose entries only signs and ratios matter."""
    a, b, c, d = track
    e, f, g, h = movie
    a, b, c, d = a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(False, a < 0, d < 0)
    return Turn(True, c < 0, b < 0)
