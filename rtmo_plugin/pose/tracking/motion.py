"""Motion of a body: a Kalman filter with constant velocity for the body as a whole.

Arms and legs swing, and their motion in a second cannot be predicted from their motion now; the body as a whole
can.  So the filter measures one offset per frame, the mean offset of all keypoints from their predicted positions,
and a pose keeps its shape while it is not detected.

Lengths are in *body sizes*, the square root of a person's area, so that the same constants serve people near and
far: walking is about two body sizes a second, running about seven.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_NOISE = 0.05  # standard deviation of a measured position, in body sizes
_FIRST_SPEED = 3.0  # standard deviation of an unknown speed, in body sizes per second
_AGILITY = 6.0  # variance that the speed gains per second: people may turn round within half a second


@dataclass(frozen=True)
class Motion:
    """Velocity of a body with the covariance of position and velocity, which x and y share.

    Attributes:
        velocity: (2,) pixels per second.
        covariance: (2, 2) covariance of position and velocity on one axis, in body sizes and seconds.
    """

    velocity: Floats
    covariance: Floats

    @classmethod
    def start(cls) -> Motion:
        """Return the motion of a body that was detected once."""
        return cls(np.zeros(2), np.diag([_NOISE**2, _FIRST_SPEED**2]))

    @property
    def variance(self) -> float:
        """Variance of the position, in body sizes squared."""
        return float(self.covariance[0, 0])

    def predict(self, seconds: float) -> Motion:
        """Return the motion after some seconds without a detection.

        Examples:
            >>> once, twice = Motion.start().predict(2.0), Motion.start().predict(0.5).predict(1.5)
            >>> bool(np.allclose(once.covariance, twice.covariance))
            True
        """
        step = np.array([[1.0, seconds], [0.0, 1.0]])
        wander = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
        return Motion(self.velocity, step @ self.covariance @ step.T + _AGILITY * wander)

    def correct(self, offset: Floats) -> tuple[Motion, float]:
        """Return the motion after a detection, and the share of the offset that is motion and not noise.

        Args:
            offset: (2,) pixels from the predicted to the detected position.
        """
        gain = self.covariance[:, 0] / (self.covariance[0, 0] + _NOISE**2)
        covariance = self.covariance - np.outer(gain, self.covariance[0])
        return Motion(self.velocity + gain[1] * offset, covariance), float(gain[0])
