"""Freed memory is kept for the next image."""

import numpy as np

_BLOCK_BYTES = 2**24  # several times the largest image here


def keep_freed_memory() -> None:
    """Let glibc reuse the memory of images instead of giving it back to the system.

    By default it returns blocks of more than 128 KB at once, and the next image costs a page fault for
    each of its 300 pages, a fifth of the time of a sample.  A larger block that is freed raises this
    limit to its own size for the rest of the process (mallopt(3), M_MMAP_THRESHOLD).  Other C libraries
    take no notice.
    """
    block = np.empty(_BLOCK_BYTES, dtype=np.uint8)
    del block
