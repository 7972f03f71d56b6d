"""Uncertainty calibration: a factor for the standard deviations of keypoints, fitted on held-out images.

Fitted by ``analysis.measures.keypoint_uncertainty``, carried in an exported model's metadata, and applied where
standard deviations come out.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import read_text

_KIND = "standard deviation"
_MAX_BYTES = 10**6


@dataclass(frozen=True)
class UncertaintyCalibration:
    """Factor of all standard deviations (their temperature).

    Examples:
        >>> UncertaintyCalibration.from_json(UncertaintyCalibration(1.25).to_json())
        UncertaintyCalibration(factor=1.25)
    """

    factor: float

    def to_json(self) -> str:
        """Return what ``from_json`` reads."""
        return json.dumps({"kind": _KIND, "factor": self.factor})

    @classmethod
    def from_json(cls, text: str, where: str = "The uncertainty calibration") -> UncertaintyCalibration:
        """Read a calibration.

        Raises:
            DataError: The text is not a calibration; the message calls it ``where``.
        """
        try:
            content = json.loads(text)
            factor = float(content["factor"])
            if content["kind"] != _KIND or not (math.isfinite(factor) and factor > 0):
                raise ValueError(f"its kind is {content['kind']!r:.60} and its factor {factor:g}")
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{where} is not an uncertainty calibration, as `rtmo analyze` writes it: {error}."
            ) from error
        return cls(factor)

    @classmethod
    def read(cls, path: str | Path) -> UncertaintyCalibration:
        """Read a calibration from a file.

        Raises:
            MissingFileError: The file does not exist.
            DataError: The file does not hold a calibration.
        """
        try:
            text = read_text(path, _MAX_BYTES)
        except FileNotFoundError:
            raise MissingFileError(f"The uncertainty calibration {path} does not exist.") from None
        return cls.from_json(text, f"The file {path}")
