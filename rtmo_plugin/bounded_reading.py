"""Bounded reading of user files: only regular files, up to a number of bytes.

Reading a device, pipe or socket may block or never end; a file may be larger than memory.
"""

from __future__ import annotations

import errno
import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rtmo_plugin.errors import DataError, MissingFileError

MAX_RATIO = 4
_CHUNK_BYTES = 1 << 20
# Without it, opening a pipe would wait until another process writes to it. Windows has no such flag and no need.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def open_regular(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; symbolic links are followed.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It cannot be opened, or is a folder, device, pipe or socket.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise MissingFileError(f"There is no file {path}.") from None
    except OSError as error:
        kind = "" if error.errno != errno.ENXIO else " (it is a socket or a pipe)"
        raise DataError(f"{path} cannot be read: {error.strerror}{kind}.") from None
    except ValueError as error:  # a null byte in the name
        raise DataError(f"{str(path)!r} is not a file name: {error}.") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise DataError(f"{path} is a {_name_kind(mode)}, not a regular file; only regular files are read.")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def check_regular(path: str | Path) -> None:
    """Check that a file that another library will open exists, is regular and can be read.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It cannot be opened, or is a folder, device, pipe or socket.
    """
    with open_regular(path):
        pass


def read_bytes(path: str | Path, max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: File to read.
        max_bytes: Largest size that is read.

    Raises:
        MissingFileError: The file does not exist.
        DataError: It cannot be read, is not a regular file, or is larger than ``max_bytes``.
    """
    with open_regular(path) as file:
        try:
            # A sparse file is refused before memory is taken; a file under /proc claims a size of 0 and is read on.
            size = os.fstat(file.fileno()).st_size
            content = file.read(size + 1) if size <= max_bytes else b""
            while size < len(content) <= max_bytes and (more := file.read(_CHUNK_BYTES)):
                content += more
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
        except MemoryError:
            raise DataError(f"{path} does not fit in memory.") from None
    if max(size, len(content)) > max_bytes:
        raise DataError(f"{path} has more than {format_bytes(max_bytes)}, the limit for such a file.")
    return content


def check_archive(path: str | Path) -> None:
    """Check that a ZIP archive does not unpack to much more than its size; files that are not archives pass.

    Archives of weights are hardly smaller than what they hold.

    Raises:
        DataError: It unpacks to more than 100 MB and ``MAX_RATIO`` times its size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):  # another kind of file, or a damaged one
        return
    if unpacked > max(10**8, MAX_RATIO * os.stat(path).st_size):
        raise DataError(
            f"{path} unpacks to {format_bytes(unpacked)}, more than {MAX_RATIO} times its size, the limit for weights."
        )


def format_bytes(count: int) -> str:
    """Return a number of bytes in a unit that people read.

    Examples:
        >>> format_bytes(2 * 10**9), format_bytes(200_000)
        ('2 GB', '0.2 MB')
    """
    return f"{count / 1e9:.4g} GB" if count >= 10**9 else f"{count / 1e6:.4g} MB"


def _name_kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "folder",
        stat.S_IFCHR: "device",
        stat.S_IFBLK: "device",
        stat.S_IFIFO: "pipe",
        stat.S_IFSOCK: "socket",
    }
    return kinds.get(stat.S_IFMT(mode), "special file")
