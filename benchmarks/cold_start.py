"""How long a program waits for its first people: measured in new processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

_ROUNDS = 3
_PROGRAM = """
from time import perf_counter
start = perf_counter()
from rtmo_plugin.runtime.exported_model import ExportedModel
imported = perf_counter()
import sys, numpy
ExportedModel(sys.argv[1], runtime=sys.argv[2]).predict(numpy.zeros((480, 640, 3), numpy.uint8))
print(imported - start, perf_counter() - start)
"""


def time_cold_start(file: Path) -> dict[str, dict[str, float]]:
    """Return the median seconds, by the clock, until the package is imported and until the first people are there.

    Args:
        file: A model for images of any size.
    """
    found = {}
    for runtime in ("openvino", "onnxruntime"):
        if find_spec(runtime):
            command = [sys.executable, "-c", _PROGRAM, str(file), runtime]
            printed = [
                subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                for _ in range(_ROUNDS)
            ]
            imported, first = (round(statistics.median(map(float, each)), 2) for each in zip(*printed))
            found[runtime] = {"import": imported, "first people": first}
    return found
