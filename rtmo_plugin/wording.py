"""Numbers with their nouns, byte sizes, paths and values for messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def count(number: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun.

    Args:
        number: Number of things.
        one: Singular noun.
        several: Plural noun. Default: ``one`` with an s.

    Examples:
        >>> count(1, "person", "people")
        '1 person'
        >>> count(1200, "image")
        '1,200 images'
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def format_bytes(count: int) -> str:
    """Return a number of bytes with its unit, in MB or GB.

    Examples:
        >>> format_bytes(2 * 10**9), format_bytes(200_000)
        ('2 GB', '0.2 MB')
    """
    return f"{count / 1e9:.4g} GB" if count >= 10**9 else f"{count / 1e6:.4g} MB"


def format_hours(hours: float) -> str:
    """Return a time in days, hours or minutes.

    Examples:
        >>> format_hours(0.5), format_hours(12.04), format_hours(96)
        ('30 minutes', '12.0 hours', '4.0 days')
    """
    if hours < 1:
        return f"{60 * hours:.2g} minutes"
    return f"{hours:.1f} hours" if hours < 72 else f"{hours / 24:.1f} days"


def show_path(path: str | Path) -> str:
    """Return a path relative to the current folder if it is inside, else the whole path.

    Examples:
        >>> show_path(Path.cwd() / "work_dirs")
        'work_dirs'
    """
    try:
        return str(Path(path).absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):  # outside, or the current folder does not exist any more
        return str(Path(path))


def shorten(value: Any, longest: int = 60) -> str:
    """Return the ``repr`` of a value, cut to a number of characters.

    Example:
        >>> shorten([1, 2, 3], longest=6)
        '[1,...'
    """
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
