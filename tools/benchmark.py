"""Measure speed: python tools/benchmark.py eval --out eval.json."""

from rtmo_plugin.cli.benchmark import COMMAND
from rtmo_plugin.cli.command import run_tool

if __name__ == "__main__":
    run_tool(COMMAND, "benchmark")
