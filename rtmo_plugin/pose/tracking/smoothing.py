"""Smoothing of keypoints over time: the One-Euro filter (Casiez, Roussel and Vogel, CHI 2012).

A low-pass filter whose cutoff rises with speed: slow movements lose their jitter, and fast ones are followed with
little delay.  Every coordinate has its own speed, as in the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.number_ranges import AMOUNT, POSITIVE
from rtmo_plugin.pose.tracking.tracker import NO_ID
from rtmo_plugin.runtime.detections import Detections

Floats = NDArray[np.floating[Any]]

_LONGEST_GAP = 5.0  # seconds after which a person is forgotten


@dataclass(frozen=True)
class Smoothed:
    """State of the filter; all arrays have the same shape.

    Attributes:
        values: Values in any unit.
        speeds: Change of the values per second.
        time: Time of the last measurement in seconds.
    """

    values: Floats
    speeds: Floats
    time: float

    @classmethod
    def start(cls, values: Floats, time: float) -> Smoothed:
        """Return the state after the first measurement."""
        return cls(values, np.zeros_like(values), time)


@dataclass(frozen=True)
class OneEuro:
    """One-Euro filter.

    Attributes:
        min_cutoff: Cutoff at rest, in Hz; lower is smoother.
        beta: Rise of the cutoff with speed, in Hz per unit per second; higher follows faster.
        speed_cutoff: Cutoff of the speed itself, in Hz.

    Raises:
        ConfigError: A value is out of its range.

    Examples:
        >>> before = Smoothed.start(np.zeros(1), time=0.0)
        >>> OneEuro(min_cutoff=1.0, beta=0.0).step(before, np.ones(1), time=0.1).values.round(3).tolist()
        [0.386]
    """

    min_cutoff: float = 1.0
    beta: float = 5.0
    speed_cutoff: float = 1.0

    def __post_init__(self) -> None:
        for name, allowed in (("min_cutoff", POSITIVE), ("speed_cutoff", POSITIVE), ("beta", AMOUNT)):
            allowed.check(name, getattr(self, name))

    def step(self, before: Smoothed, values: Floats, time: float, unit: float = 1.0) -> Smoothed:
        """Return the state after another measurement.

        Args:
            before: State after the previous measurement.
            values: Measured values, in the shape of ``before.values``.
            time: Time in seconds, later than ``before.time``.
            unit: Unit of ``beta``, such as the size of a body in pixels.
        """
        seconds = time - before.time
        measured = (values - before.values) / seconds
        speeds = _blend(before.speeds, measured, _weigh(self.speed_cutoff, seconds))
        cutoffs = self.min_cutoff + self.beta * np.abs(speeds) / unit
        return Smoothed(_blend(before.values, values, _weigh(cutoffs, seconds)), speeds, time)


class PoseSmoother:
    """Smoother for the keypoints of all people with an id.

    Args:
        one_euro: Filter whose ``beta`` counts in body sizes, the square root of a person's area, so that people near
            and far are smoothed alike. Default: ``OneEuro()``.
    """

    def __init__(self, one_euro: OneEuro | None = None) -> None:
        self._filter = one_euro or OneEuro()
        self._states: dict[int, Smoothed] = {}

    def update(self, people: Detections, ids: NDArray[np.int64], time: float) -> Detections:
        """Return the detections of the next frame with smoothed keypoints.

        Args:
            people: N detections.
            ids: (N,) ids that the tracker gave.
            time: Time of the frame in seconds, later than that of the previous frame.
        """
        self._states = {key: state for key, state in self._states.items() if time - state.time < _LONGEST_GAP}
        keypoints = people.keypoints.copy()
        sizes = np.sqrt(people.estimate_areas())
        for n in np.flatnonzero(ids != NO_ID).tolist():
            before, values = self._states.get(int(ids[n])), people.keypoints[n]
            after = (
                Smoothed.start(values, time)
                if before is None
                else self._filter.step(before, values, time, float(sizes[n]))
            )
            self._states[int(ids[n])] = after
            keypoints[n] = after.values
        return replace(people, keypoints=keypoints)


def _weigh(cutoff: Any, seconds: float) -> Any:
    """Return the weight of a new value in a first-order low-pass filter with a cutoff in Hz."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * seconds))


def _blend(old: Floats, new: Floats, weight: Any) -> Floats:
    blended: Floats = old + weight * (new - old)
    return blended
