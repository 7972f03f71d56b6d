"""Calibrations as files: how those of scores and of standard deviations are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, TypeVar

from rtmo_plugin.errors import MissingFileError
from rtmo_plugin.files import read_text

_MAX_BYTES = 10**6

Calibration = TypeVar("Calibration", bound="StoredCalibration")


class StoredCalibration(ABC):
    """Base of the calibrations that ``rtmo analyze`` writes as files of JSON.

    Attributes:
        FILE: Words for such a file in messages.
    """

    FILE: ClassVar[str]

    @classmethod
    @abstractmethod
    def from_json(cls: type[Calibration], text: str, where: str = ...) -> Calibration:
        """Read a calibration from a text, which messages call ``where``."""

    @classmethod
    def read(cls: type[Calibration], path: str | Path) -> Calibration:
        """Read a calibration from a file.

        Raises:
            MissingFileError: The file does not exist.
            DataError: The file does not hold a calibration.
        """
        try:
            text = read_text(path, _MAX_BYTES)
        except FileNotFoundError:
            raise MissingFileError(f"The {cls.FILE} {path} does not exist.") from None
        return cls.from_json(text, f"The file {path}")
