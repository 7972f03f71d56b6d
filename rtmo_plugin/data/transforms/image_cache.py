"""Decoded images in memory that all workers of a data loader share.

The memory is a file without a name: it belongs to the processes that hold it open, workers inherit it whether
they are forked or spawned, and nothing of it is left behind, however a run ends.  It holds

    number of images, bytes used | one entry an image: key, offset, height, width | pixels ...

Pixels are only ever appended, under a lock, so that a view of an image that was found stays true.
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

from rtmo_plugin.errors import ConfigError

try:
    import fcntl
    from os import posix_fallocate
except ImportError:  # not Linux: no cache, and a clear word in the constructor
    fcntl = None  # type: ignore[assignment]

_KEY_BYTES = 16
_ENTRY = np.dtype([("key", f"S{_KEY_BYTES}"), ("offset", "u8"), ("height", "u4"), ("width", "u4")])
_HEADER_BYTES = 16
_LEAST_IMAGE_BYTES = 32 * 1024  # on average; with smaller images the entries end before the memory
_LEAST_BYTES = 2**20
_MEMORY_FOLDER = Path("/dev/shm")

Image = np.ndarray


class NoCache:
    """Keeps nothing."""

    max_bytes = 0

    def find(self, name: str) -> None:
        """Return None."""

    def find_shape(self, name: str) -> None:
        """Return None."""

    def add(self, name: str, image: Image) -> None:
        """Do nothing."""


class ImageCache:
    """At most so many bytes of uint8 images, for this process and those that it starts.

    Args:
        max_bytes: Number of bytes of everything together; memory is taken image by image.
        folder: Folder of the file system to keep it in. Default: ``/dev/shm`` (memory) if it has enough space, else
            the folder for temporary files (the system's page cache, and disk space).

    Raises:
        ConfigError: The system is not Linux, or the file system has no such room.
    """

    def __init__(self, max_bytes: int, folder: str | Path | None = None) -> None:
        if fcntl is None:
            raise ConfigError("A cache of images needs Linux: set cache_bytes=0.")
        self.max_bytes = max_bytes
        with tempfile.TemporaryFile(dir=_choose_folder(max_bytes, folder)) as file:
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
        """Return what a spawned process needs; the descriptor travels as multiprocessing's own do."""
        return {"max_bytes": self.max_bytes, "descriptor": DupFd(self._descriptor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the same memory in another process."""
        self.max_bytes = state["max_bytes"]
        self._open(state["descriptor"].detach())

    def __deepcopy__(self, memo: dict[int, Any]) -> ImageCache:
        """Return this cache: a copied pipeline shares it."""
        return self

    def __del__(self) -> None:
        """Let go of the memory."""
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def find(self, name: str) -> Image | None:
        """Return the (H, W, 3) image of that name, which cannot be written to, or None."""
        place = self._find_place(_make_key(name))
        if place is None:
            return None
        offset, shape = place
        image = self._memory[offset : offset + math.prod(shape)].reshape(shape)
        image.flags.writeable = False
        return image

    def find_shape(self, name: str) -> tuple[int, int] | None:
        """Return height and width of the image of that name, or None."""
        place = self._find_place(_make_key(name))
        return place and place[1][:2]

    def add(self, name: str, image: Image) -> None:
        """Keep an image, if it is (H, W, 3) uint8, there is still room and it was not kept before."""
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
        except OSError:  # writing to memory that the file system cannot give would end the process
            return False
        self._memory[start:end] = image.reshape(-1)
        self._entries[number] = (key, start, *image.shape[:2])
        self._counts[:] = number + 1, end
        return True

    def _find_place(self, key: bytes) -> tuple[int, tuple[int, int, int]] | None:
        """Return offset and shape of an image, after a look at what other processes have added."""
        if key not in self._places and len(self._places) < int(self._counts[0]):
            with self._lock():
                self._read_entries()
        return self._places.get(key)

    def _read_entries(self) -> None:
        for key, offset, height, width in self._entries[len(self._places) : int(self._counts[0])].tolist():
            self._places[key.ljust(_KEY_BYTES, b"\0")] = (offset, (height, width, 3))

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Wait until no other process writes; a process that dies lets go."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


_caches: dict[int, ImageCache] = {}


def find_cache(max_bytes: int) -> ImageCache | NoCache:
    """Return the cache of this size that all loaders of this process share.

    Raises:
        ConfigError: A negative size, or one that is not to be had.
    """
    if not isinstance(max_bytes, int) or 0 != max_bytes < _LEAST_BYTES:
        raise ConfigError(f"cache_bytes must be a whole number, 0 for no cache or at least 2**20, got {max_bytes!r}.")
    if max_bytes == 0:
        return NoCache()
    if max_bytes not in _caches:
        _caches[max_bytes] = ImageCache(max_bytes)
    return _caches[max_bytes]


def _choose_folder(max_bytes: int, folder: str | Path | None) -> Path:
    """Return the first folder with enough free space."""
    folders = [Path(folder)] if folder else [_MEMORY_FOLDER, Path(tempfile.gettempdir())]
    for candidate in folders:
        if candidate.is_dir() and shutil.disk_usage(candidate).free >= max_bytes:
            return candidate
    raise ConfigError(
        f"There is no room for a cache of {max_bytes} bytes in {' or '.join(map(str, folders))}: lower cache_bytes."
    )


def _make_key(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=_KEY_BYTES).digest()
