"""Ranges of numeric options, shared by the command line, configs and Python calls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from rtmo_plugin.errors import ConfigError


@dataclass(frozen=True)
class NumberRange:
    """Finite numbers from ``least`` to ``most``.

    As the ``type`` of an ``argparse`` argument, a range parses and checks the text.

    Attributes:
        least: Lowest number.
        most: Highest number.
        is_whole: Whether only whole numbers are in the range.
        is_open: Whether ``least`` and ``most`` are excluded.
    """

    least: float
    most: float
    is_whole: bool = True
    is_open: bool = False

    def __str__(self) -> str:
        """Return the range in words."""
        kind = "a whole number" if self.is_whole else "a number"
        low, high = f"{self.least:.15g}", f"{self.most:.15g}"
        return f"{kind} above {low} and below {high}" if self.is_open else f"{kind} from {low} to {high}"

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral if self.is_whole else Real):
            return False
        if not isinstance(value, Integral) and not math.isfinite(value):
            return False
        number: Any = value
        return bool(self.least < number < self.most if self.is_open else self.least <= number <= self.most)

    def __call__(self, text: str) -> Any:
        """Return the number that a text spells, for ``argparse``."""
        from argparse import ArgumentTypeError  # slow to import, and loaded already when argparse calls this

        try:
            value = int(text) if self.is_whole else float(text)
        except ValueError:
            value = math.nan
        if value not in self:
            raise ArgumentTypeError(f"{text[:40]!r} is not {self}")
        return value

    def check(self, name: str, value: Any) -> None:
        """Check the value of an option.

        Raises:
            ConfigError: The value is not in the range.

        Examples:
            >>> FRACTION.check("score_thr", 0.5)
            >>> FRACTION.check("score_thr", 2)
            Traceback (most recent call last):
            rtmo_plugin.errors.ConfigError: score_thr must be a number from 0 to 1, got 2.
        """
        if value not in self:
            raise ConfigError(f"{name} must be {self}, got {str(value)[:40]!s}.")


@dataclass(frozen=True)
class NumberOrWord(NumberRange):
    """A range of numbers, or a word.

    Examples:
        >>> BATCH_SIZE_OR_AUTO("auto"), BATCH_SIZE_OR_AUTO("8"), str(BATCH_SIZE_OR_AUTO)
        ('auto', 8, 'a whole number from 1 to 65536 or auto')
    """

    word: str = ""

    def __str__(self) -> str:
        return f"{super().__str__()} or {self.word}"

    def __contains__(self, value: Any) -> bool:
        return value == self.word or super().__contains__(value)

    def __call__(self, text: str) -> Any:
        """Return the word, or the number that a text spells, for ``argparse``."""
        return text if text == self.word else super().__call__(text)


FRACTION = NumberRange(0, 1, is_whole=False)
SHARE = NumberRange(0, 1, is_whole=False, is_open=True)
POSITIVE = NumberRange(0, 1e9, is_whole=False, is_open=True)
GIGABYTES = NumberRange(0, 1e6, is_whole=False)
AMOUNT = NumberRange(0, 1e9, is_whole=False)
MEGA = NumberRange(0.001, 1e6, is_whole=False)  # megabytes or megapixels
COUNT = NumberRange(1, 10**9)
NUMBER = NumberRange(0, 10**9)  # a count that may be zero
BATCH_SIZE = NumberRange(1, 65_536)
BATCH_SIZE_OR_AUTO = NumberOrWord(1, 65_536, word="auto")
THREADS = NumberRange(1, 1024)
STREAMS = NumberRange(1, 64)
WORKERS = NumberRange(1, 65_536)
SEED = NumberRange(0, 2**32 - 1)
PORT = NumberRange(0, 65_535)
PRIORS = NumberRange(1, 10**6)  # number of people or priors that an exported file returns
OPSET = NumberRange(11, 20)  # of ONNX; NonMaxSuppression and TopK as they are used here begin with 11
SIDE = NumberRange(32, 65_536)  # side of an image or a tile in pixels
