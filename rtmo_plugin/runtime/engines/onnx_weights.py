"""Check of an ONNX file for weights that are not finite, without the package ``onnx``.

Infinite weights may give scores of exactly 0 or 1, which look like ordinary scores.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rtmo_plugin.runtime.engines.engine import make_weight_error

# Numbers of fields in ONNX's messages, and of its data types.
GRAPH, _INITIALIZER, _DATA_TYPE, _FLOAT_DATA, _NAME, _RAW_DATA = 7, 5, 2, 4, 8, 9
_DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}
_FIXED_SIZES = {1: 8, 5: 4}  # bytes by wire type
_VARINT, _BYTES = 0, 2

Field = tuple[int, int, int]  # number, and begin and end of the value; a varint is its own end


def check_onnx_weights(path: Path) -> None:
    """Check that the weights of an ONNX file are finite; a file that cannot be read is left to its runtime.

    Raises:
        NonFiniteError: One is NaN or infinite; the message names the tensor.
    """
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number, begin, end in split_message(content, 0, len(content)):
            if number == GRAPH:
                for inner, first, last in split_message(content, begin, end):
                    if inner == _INITIALIZER:
                        _check_tensor(content, first, last, path)


def _check_tensor(content: mmap.mmap, begin: int, end: int, path: Path) -> None:
    found = {number: (first, last) for number, first, last in split_message(content, begin, end)}
    dtype = _DTYPES.get(found.get(_DATA_TYPE, (0, 0))[1])
    first, last = found.get(_RAW_DATA) or found.get(_FLOAT_DATA) or (0, 0)
    if dtype is None or (last - first) % dtype.itemsize:
        return
    values = np.frombuffer(content[first:last], dtype)
    if not np.isfinite(values).all():
        name = content[slice(*found.get(_NAME, (0, 0)))].decode(errors="replace")
        raise make_weight_error(path, name)


def split_message(content: mmap.mmap, begin: int, end: int) -> Iterator[Field]:
    """Yield the fields of a message in protobuf's format, up to the first that is damaged."""
    while begin < end:
        key, begin = _read_varint(content, begin, end)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, begin = _read_varint(content, begin, end)
            yield number, begin, value
            continue
        length, begin = _read_varint(content, begin, end) if kind == _BYTES else (_FIXED_SIZES.get(kind, end), begin)
        if begin + length > end:
            return
        yield number, begin, begin + length
        begin += length


def _read_varint(content: mmap.mmap, begin: int, end: int) -> tuple[int, int]:
    """Return a number of seven bits a byte and where it ends; past the end where it is cut off."""
    value = 0
    for index in range(begin, min(begin + 10, end)):
        value |= (content[index] & 0x7F) << 7 * (index - begin)
        if content[index] < 0x80:
            return value, index + 1
    return value, end
