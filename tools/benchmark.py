"""Measure speed: python tools/benchmark.py eval --out eval.json."""

import sys
from pathlib import Path

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.benchmark import COMMAND
from rtmo_plugin.cli.command import run_tool

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # ``benchmarks`` is beside this folder, not installed

if __name__ == "__main__":
    run_tool(COMMAND, "benchmark")
