"""What a command prints: words for people, or JSON and nothing else for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any


@contextmanager
def keep_stdout_for_json(is_kept: bool) -> Iterator[None]:
    """Send what is printed meanwhile to stderr if ``is_kept``, so that stdout can be JSON alone."""
    with redirect_stdout(sys.stderr) if is_kept else nullcontext():
        yield


def count(number: int, one: str, several: str) -> str:
    """Return a number with its word.

    Example:
        >>> count(1, "person", "people")
        '1 person'
    """
    return f"{number} {one if number == 1 else several}"


def print_json(value: Any) -> None:
    """Print ``value`` as one line of JSON, at once, for a program that reads along."""
    print(json.dumps(value), flush=True)
