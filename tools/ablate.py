"""Compare variants of the method: python tools/ablate.py STUDY --data synthetic --seeds 3 --budget 60."""

import sys
from pathlib import Path

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.command import run_tool

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # ``studies`` is beside this folder, not installed

if __name__ == "__main__":
    from studies.ablate import COMMAND

    run_tool(COMMAND, "ablate")
