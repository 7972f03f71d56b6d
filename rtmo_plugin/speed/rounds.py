"""The timer of everything that is compared: all sides run in turn in each round."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Threads of ONNX Runtime wait for more work in a busy loop, and would slow down the next side.
PAUSE_S = 0.15


@dataclass(frozen=True)
class Timing:
    """Times of one side, one per round.

    Attributes:
        name: Name of the side.
        seconds: Wall-clock seconds.
        cpu_seconds: CPU seconds of all threads of this process.
    """

    name: str
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the wall-clock seconds."""
        return statistics.median(self.seconds)

    @property
    def median_cpu(self) -> float:
        """Median of the CPU seconds, which other programs on the machine disturb less."""
        return statistics.median(self.cpu_seconds)


def time_alternately(
    sides: Mapping[str, Callable[[], Any]], rounds: int, *, pause: float = 0.0
) -> tuple[tuple[Timing, ...], dict[str, list[Any]]]:
    """Run all sides in turn in each round, so that other work of the machine meets all of them.

    Args:
        sides: Functions to run, by name; each is a closure, so that its inputs are ready before the measured time.
        rounds: Number of runs of each side.
        pause: Seconds to wait before each run, until the threads of the side before are asleep.

    Returns:
        The times of each side, and what each returned in each round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in sides}
    returned: dict[str, list[Any]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            gc.collect()
            time.sleep(pause)
            start, cpu_start = time.perf_counter(), time.process_time()
            returned[name].append(run())
            cpu_seconds[name].append(time.process_time() - cpu_start)
            seconds[name].append(time.perf_counter() - start)
    timings = tuple(Timing(name, tuple(seconds[name]), tuple(cpu_seconds[name])) for name in sides)
    return timings, returned


def find_percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of the values do not exceed.

    Examples:
        >>> find_percentile([4, 1, 3, 2, 10], 80)
        4
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
