"""Measured times, with the machine and the versions that they belong to."""

from __future__ import annotations

import dataclasses
import gc
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from rtmo_plugin.files import write_json
from rtmo_plugin.runtime.engines.engine import count_cores

_PACKAGES = (
    *("numpy", "opencv-python", "torch", "onnxruntime", "openvino", "mmengine", "mmpose", "rtmlib", "xtcocotools"),
    *("faster-coco-eval", "rtmo-plugin"),
)


@dataclass(frozen=True)
class Timing:
    """How long one side took in each round."""

    name: str
    seconds: tuple[float, ...]  # by the clock
    cpu_seconds: tuple[float, ...]  # of all threads of this process

    @property
    def median(self) -> float:
        """Median by the clock."""
        return statistics.median(self.seconds)

    @property
    def median_cpu(self) -> float:
        """Median of the work, which other programs on the machine disturb less."""
        return statistics.median(self.cpu_seconds)


@dataclass(frozen=True)
class Report:
    """What was measured: the first side is the one that the others are compared with."""

    title: str
    command: str
    timings: tuple[Timing, ...]
    settings: Mapping[str, Any]
    results: Mapping[str, Any]  # what else the subject found, such as that both sides agree

    def describe(self) -> dict[str, Any]:
        """Return everything as what JSON can hold."""
        sides = [{**dataclasses.asdict(each), "median": each.median, **self._compare(each)} for each in self.timings]
        return {
            "title": self.title,
            "command": self.command,
            "settings": dict(self.settings),
            "sides": sides,
            "results": dict(self.results),
            "hardware": describe_hardware(),
            "versions": describe_versions(),
        }

    def format(self) -> str:
        """Return a human-readable table."""
        heads = ("median s", "least", "most", "CPU s", "faster", "less CPU")
        lines = [self.title, "", f"{'':24}" + "".join(f"{head:>10}" for head in heads)]
        for each in self.timings:
            times = (each.median, min(each.seconds), max(each.seconds), each.median_cpu)
            compared = self._compare(each)
            ratios = (compared["times_faster"], compared["times_less_cpu"])
            cells = [*(f"{value:10.3f}" for value in times), *(f"{ratio:9.1f}x" for ratio in ratios)]
            lines.append(f"{each.name:24}" + "".join(cells))
        facts = {**self.results, "rounds": len(self.timings[0].seconds), **describe_hardware(), **describe_versions()}
        return "\n".join([*lines, "", *(f"{name}: {value}" for name, value in facts.items())])

    def write(self, path: str | Path) -> None:
        """Write everything to a JSON file."""
        write_json(path, self.describe(), indent=2)

    def _compare(self, timing: Timing) -> dict[str, float]:
        """Return how many times faster than the first side this one is: by medians, in the worst round, by work."""
        first = self.timings[0]
        return {
            "times_faster": first.median / timing.median,
            "least_times_faster": min(other / own for other, own in zip(first.seconds, timing.seconds)),
            "times_less_cpu": first.median_cpu / timing.median_cpu,
        }


def time_alternately(
    sides: Mapping[str, Callable[[], Any]], rounds: int, *, pause: float = 0.0
) -> tuple[tuple[Timing, ...], dict[str, list[Any]]]:
    """Run all sides in turn in each round, so that other work of the machine meets all of them.

    Args:
        sides: Functions to run, by name; each is a closure, so that its inputs are ready before the measured time.
        rounds: Number of runs of each side.
        pause: Seconds to wait before each, until threads of the one before are asleep.

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


def describe_hardware() -> dict[str, str]:
    """Return the processor, its cores that this process may use, and the GPU."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"processor": _read_processor(), "cores": str(count_cores()), "gpu": gpu, "system": platform.platform()}


def _read_processor() -> str:
    path = Path("/proc/cpuinfo")
    lines: Sequence[str] = path.read_text(encoding="utf-8").splitlines() if path.is_file() else ()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def describe_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter; those that are not there are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
