"""Measure your models: python tools/benchmark.py rtmo-s.onnx; against others: python tools/benchmark.py infer."""

import sys
from pathlib import Path

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.benchmark import COMMAND, COMPARISONS
from rtmo_plugin.cli.command import run_tool

if __name__ == "__main__":
    if set(COMPARISONS) & set(sys.argv[1:2]):
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # ``benchmarks`` is beside this folder
        from benchmarks.subjects import COMMAND
    run_tool(COMMAND, "benchmark")
