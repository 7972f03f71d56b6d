"""Compare variants of the method: python tools/ablate.py STUDY --data synthetic --seeds 3 --budget 60."""

from rtmo_plugin.cli.ablate import COMMAND
from rtmo_plugin.cli.command import run_tool

if __name__ == "__main__":
    run_tool(COMMAND, "ablate")
