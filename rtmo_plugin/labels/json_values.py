"""Values read from a JSON or text file, which may be anything: is it a number, and which?"""

from __future__ import annotations

import math
import sys
from typing import Any, TypeGuard

_NUMBERS = {int, float}  # bool is neither


def is_id(value: Any) -> TypeGuard[int]:
    """Whether ``value`` is a whole number; bool is not."""
    return type(value) is int


def are_numbers(values: Any, count: int | None = None) -> bool:
    """Whether ``values`` is a list of finite numbers, and of so many."""
    if not isinstance(values, list) or (count is not None and len(values) != count):
        return False
    if not _NUMBERS.issuperset(map(type, values)):
        return False
    try:
        # One term that is not finite makes the sum so: one test for all, unless they are huge.
        return is_finite(sum(values)) or all(map(is_finite, values))
    except OverflowError:  # a whole number that no float can hold
        return False


def is_number(value: Any) -> bool:
    """Whether ``value`` is a finite number."""
    return type(value) in _NUMBERS and is_finite(value)


def is_finite(value: float) -> bool:
    """Whether a number is one that a float can hold, and neither NaN nor infinite."""
    return abs(value) <= sys.float_info.max if type(value) is int else math.isfinite(value)


def read_whole(value: Any) -> int | None:
    """Return the whole number that a value means, or None.

    Examples:
        >>> read_whole("0012"), read_whole(3.0), read_whole("a1"), read_whole(2.5), read_whole(True)
        (12, 3, None, None, None)
    """
    if is_id(value):
        return value
    if isinstance(value, float):
        return int(value) if is_number(value) and value.is_integer() else None
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def parse_number(word: str) -> float:
    """Return the finite number that a word spells, whole where it is.

    Raises:
        ValueError: It spells none.
    """
    value = float(word)
    if value - value != 0:
        raise ValueError(word)
    return int(value) if value.is_integer() else value
