"""Uncertainty calibration: a factor for the standard deviations of keypoints, fitted on held-out images.

Fitted by ``analysis.measures.keypoint_uncertainty``, carried in an exported model's metadata, and applied where
standard deviations come out.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import ClassVar

from rtmo_plugin.errors import DataError
from rtmo_plugin.stored_calibration import StoredCalibration

_KIND = "standard deviation"


@dataclass(frozen=True)
class UncertaintyCalibration(StoredCalibration):
    """Factor of all standard deviations (their temperature).

    Examples:
        >>> UncertaintyCalibration.from_json(UncertaintyCalibration(1.25).to_json())
        UncertaintyCalibration(factor=1.25)
    """

    FILE: ClassVar[str] = "uncertainty calibration"

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
