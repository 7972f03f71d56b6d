"""Decoded images in memory that all workers of a data loader share, and the training processes of a machine.

The memory is an unnamed file: it belongs to the processes that hold it open. Workers inherit it whether they are
forked or spawned, and it disappears with the last process, even after a crash. Its layout is

    number of images, bytes used | one entry per image: key, offset, height, width | pixels ...

Pixels are only appended, under a lock, so a view of a cached image stays valid.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError

try:
    import fcntl
    from os import posix_fallocate
except ImportError:  # not Linux: the constructor raises a ConfigError
    fcntl = None  # type: ignore[assignment]  # mypy does not let a module be None

_KEY_BYTES = 16
_ENTRY = np.dtype([("key", f"S{_KEY_BYTES}"), ("offset", "u8"), ("height", "u4"), ("width", "u4")])
_HEADER_BYTES = 16
_LEAST_IMAGE_BYTES = 32 * 1024  # on average; with smaller images the entries run out before the memory
_LEAST_BYTES = 2**20
_MEMORY_FOLDER = Path("/dev/shm")

Image = NDArray[np.uint8]


class NoCache:
    """Cache that stores nothing, for ``cache_bytes=0``."""

    max_bytes = 0

    def find(self, name: str) -> None:
        """Return None."""

    def find_shape(self, name: str) -> None:
        """Return None."""

    def add(self, name: str, image: Image) -> None:
        """Do nothing."""


class ImageCache:
    """Cache of uint8 images, shared by this process and the processes that it starts.

    Args:
        max_bytes: Largest size in bytes, entries included; memory is allocated image by image.
        folder: Folder whose file system holds the cache. Default: ``/dev/shm`` (memory) if it has enough space, else
            the folder for temporary files (disk space and the system's page cache).

    Raises:
        ConfigError: The system is not Linux, or the file system has too little free space.
    """

    def __init__(self, max_bytes: int, folder: str | Path | None = None) -> None:
        if fcntl is None:
            raise ConfigError("The image cache needs Linux: set cache_bytes=0.")
        self.max_bytes = max_bytes
        with tempfile.TemporaryFile(dir=choose_cache_folder(max_bytes, folder)) as file:
            file.truncate(max_bytes)
            self._open(os.dup(file.fileno()))
        self._counts[1] = _HEADER_BYTES + self._entries.nbytes

    def _open(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._memory = np.frombuffer(mmap.mmap(descriptor, self.max_bytes), dtype=np.uint8)
        self._counts = self._memory[:_HEADER_BYTES].view(np.uint64)
        num_entries = self.max_bytes // _LEAST_IMAGE_BYTES
        self._entries = self._memory[_HEADER_BYTES:][: num_entries * _ENTRY.itemsize].view(_ENTRY)
        self._places: dict[bytes, tuple[int, tuple[int, int, int]]] = {}  # of the entries seen so far
        self._is_full = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a spawned process needs; multiprocessing passes the descriptor on."""
        return {"max_bytes": self.max_bytes, "descriptor": DupFd(self._descriptor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the same memory in another process."""
        self.max_bytes = state["max_bytes"]
        self._open(state["descriptor"].detach())

    def __deepcopy__(self, memo: dict[int, Any]) -> ImageCache:
        """Return this cache: a copied pipeline shares it."""
        return self

    def __del__(self) -> None:
        """Close the descriptor: the last process to do so frees the memory."""
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def find(self, name: str) -> Image | None:
        """Return the (H, W, 3) image of that name, read-only; None if it is not in the cache."""
        place = self._find_place(_make_key(name))
        if place is None:
            return None
        offset, shape = place
        image = self._memory[offset : offset + math.prod(shape)].reshape(shape)
        image.flags.writeable = False
        return image

    def find_shape(self, name: str) -> tuple[int, int] | None:
        """Return height and width of the image of that name; None if it is not in the cache."""
        place = self._find_place(_make_key(name))
        return place and place[1][:2]

    def add(self, name: str, image: Image) -> None:
        """Store an image if it is (H, W, 3) uint8, not stored yet, and the cache has room."""
        if self._is_full or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            return
        key = _make_key(name)
        with self._lock():
            self._read_entries()
            if key not in self._places:
                self._is_full = not self._append(key, image)

    def _append(self, key: bytes, image: Image) -> bool:
        """Write an image and its entry; return whether there was room."""
        number, start = (int(count) for count in self._counts)
        end = start + image.nbytes
        if number == len(self._entries) or end > self.max_bytes:
            return False
        try:
            posix_fallocate(self._descriptor, start, image.nbytes)
        except OSError:  # without this check, writing beyond the file system's space would kill the process
            return False
        self._memory[start:end] = image.reshape(-1)
        self._entries[number] = (key, start, *image.shape[:2])
        self._counts[:] = number + 1, end
        return True

    def _find_place(self, key: bytes) -> tuple[int, tuple[int, int, int]] | None:
        """Return offset and shape of an image, which another process may have added; None if it is not stored."""
        if key not in self._places and len(self._places) < int(self._counts[0]):
            with self._lock():
                self._read_entries()
        return self._places.get(key)

    def _read_entries(self) -> None:
        for key, offset, height, width in self._entries[len(self._places) : int(self._counts[0])].tolist():
            self._places[key.ljust(_KEY_BYTES, b"\0")] = (offset, (height, width, 3))

    @property
    def address(self) -> str:
        """Path under which the other processes of this machine can open the memory."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @classmethod
    def join(cls, address: str, max_bytes: int) -> ImageCache:
        """Return the cache of another process, which has to keep its own until then.

        Args:
            address: Its ``address``.
            max_bytes: Its size in bytes.

        Raises:
            ConfigError: This process has no access to the memory of the other one.
        """
        cache = cls.__new__(cls)
        cache.max_bytes = max_bytes
        try:
            cache._open(os.open(address, os.O_RDWR))
        except OSError as error:
            raise ConfigError(
                f"The image cache of another training process of this machine, {address}, cannot be opened "
                f"({error.strerror}): start them in one container, or train without --cache-gb."
            ) from error
        return cache

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the lock of the file; the system releases it when a process dies."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


_caches: dict[int, ImageCache] = {}


def use_cache(cache: ImageCache) -> None:
    """Let all loaders of this process that are built with the size of a cache use that cache."""
    _caches[cache.max_bytes] = cache


def find_cache(max_bytes: int) -> ImageCache | NoCache:
    """Return the cache of this size that all loaders of this process share.

    Raises:
        ConfigError: The size is negative, not an integer, below 2**20 bytes, or larger than the free space.
    """
    if not isinstance(max_bytes, int) or 0 != max_bytes < _LEAST_BYTES:
        raise ConfigError(f"cache_bytes must be a whole number, 0 for no cache or at least 2**20, got {max_bytes!r}.")
    if max_bytes == 0:
        return NoCache()
    if max_bytes not in _caches:
        _caches[max_bytes] = ImageCache(max_bytes)
    return _caches[max_bytes]


def choose_cache_folder(max_bytes: int, folder: str | Path | None = None) -> Path:
    """Return the first folder with enough free space.

    Args:
        max_bytes: Size of the cache.
        folder: Folder to try. Default: the shared memory, then that of temporary files.

    Raises:
        ConfigError: There is none.
    """
    folders = [Path(folder)] if folder else [_MEMORY_FOLDER, Path(tempfile.gettempdir())]
    for candidate in folders:
        if candidate.is_dir() and shutil.disk_usage(candidate).free >= max_bytes:
            return candidate
    raise ConfigError(
        f"No room for an image cache of {max_bytes} bytes in {' or '.join(map(str, folders))}: lower cache_bytes."
    )


def _make_key(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=_KEY_BYTES).digest()
