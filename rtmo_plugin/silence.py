"""Silence of libraries that print to stderr, in Python and below it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr


@contextmanager
def drop_stderr() -> Iterator[None]:
    """Drop what is printed to stderr, also below Python, such as FFmpeg's notes on codec tags."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # closed
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        os.dup2(kept, 2)
        os.close(null)
        os.close(kept)
