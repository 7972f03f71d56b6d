"""Freed memory is kept for the next image and the next step."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's <malloc.h>
_KEPT_BYTES = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let glibc reuse freed memory instead of giving it back to the system, in this process and its children.

    By default it returns large blocks at once, and the next allocation pays a page fault for each
    4 KB of them: a fifth of the time of a sample, and half the time of the classifier's sines, 150 MB
    at 600 people.  Children that are forked inherit this.

    Returns:
        Whether the C library is one that listens; others are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, _KEPT_BYTES) for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
