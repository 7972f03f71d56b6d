"""Score calibration: a detection's score becomes the OKS to be expected of it.

Fitted by ``analysis.measures.calibration``, carried in an exported model's metadata under
``METADATA_KEY`` as the JSON text of ``to_json``, and applied where scores come out.  NumPy only, so
that programs that run exported models can use it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError
from rtmo_plugin.stored_calibration import StoredCalibration

METADATA_KEY = "rtmo_score_calibration"
_KIND = "logistic"
_LEAST = 1e-6  # probabilities are kept this far from 0 and 1

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ScoreCalibration(StoredCalibration):
    """``sigmoid(score_weight logit(score) + keypoint_weight logit(mean of the keypoint scores) + bias)``.

    Examples:
        >>> same = ScoreCalibration(score_weight=1.0, keypoint_weight=0.0, bias=0.0)
        >>> same.apply(np.array([0.25]), np.array([[0.5, 0.9]])).round(6).tolist()
        [0.25]
    """

    FILE: ClassVar[str] = "calibration file"

    score_weight: float
    keypoint_weight: float
    bias: float

    def apply(self, scores: Floats, keypoint_scores: Floats) -> Floats:
        """Return calibrated scores (N,).

        Args:
            scores: Scores (N,) of the people, 0 to 1.
            keypoint_scores: Keypoint scores (N, K), 0 to 1.
        """
        weights = np.array([self.score_weight, self.keypoint_weight, self.bias])
        calibrated: Floats = 1 / (1 + np.exp(-make_features(scores, keypoint_scores) @ weights))
        return calibrated

    def to_json(self) -> str:
        """Return what ``from_json`` reads."""
        return json.dumps({"kind": _KIND, **asdict(self)})

    @classmethod
    def from_json(cls, text: str, where: str = "The score calibration") -> ScoreCalibration:
        """Read a calibration.

        Raises:
            DataError: The text is not a calibration; the message calls it ``where``.
        """
        try:
            content = json.loads(text)
            if content.pop("kind") != _KIND:
                raise ValueError("of another kind")
            calibration = cls(**{name: float(value) for name, value in content.items()})
            if not all(map(math.isfinite, asdict(calibration).values())):
                raise ValueError("a weight is not finite")
            return calibration
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise DataError(f"{where} is not a score calibration, as `rtmo analyze` writes it: {error}.") from error


def make_features(scores: Floats, keypoint_scores: Floats) -> Floats:
    """Return what a calibration weighs (N, 3): two logits, and 1."""
    columns = (to_logits(scores), to_logits(keypoint_scores.mean(1)), np.ones(len(scores)))
    features: Floats = np.stack(columns, 1)
    return features


def to_logits(values: Floats) -> Floats:
    """Return log(p / (1 - p)), finite for 0 and 1 as well."""
    kept = np.clip(np.asarray(values, np.float64), _LEAST, 1 - _LEAST)
    logits: Floats = np.log(kept / (1 - kept))
    return logits
