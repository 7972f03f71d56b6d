"""Faster allocation: the C library keeps freed memory for the next image and the next step."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass

import cv2

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's <malloc.h>
_KEPT_BYTES = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make glibc reuse freed memory instead of returning it to the system, in this process and in forked children.

    By default large blocks are returned at once, and the next allocation causes a page fault for each
    4 KB of them: a fifth of the time of a sample, and half the time of the classifier's sines, 150 MB
    at 600 people.

    Returns:
        Whether the C library has this setting; other libraries are left unchanged.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, _KEPT_BYTES) for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))


@dataclass(frozen=True)
class WorkerSetup:
    """Function ``worker_init_fn`` of a data loader that sets up each worker, forked or spawned.

    A worker keeps freed memory, and OpenCV has one thread in it, as PyTorch has: the workers share the cores.

    Attributes:
        inner: The loader's own ``worker_init_fn``, which is called next.
    """

    inner: Callable[[int], None] | None

    def __call__(self, worker_id: int) -> None:
        """Set up the worker with this number."""
        keep_freed_memory()
        cv2.setNumThreads(0)
        if self.inner is not None:
            self.inner(worker_id)
