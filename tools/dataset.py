"""Check, split and convert label files: python tools/dataset.py check FILE --images DIR --fix OUT."""

from rtmo_plugin.cli.command import run_tool
from rtmo_plugin.cli.dataset import COMMAND

if __name__ == "__main__":
    run_tool(COMMAND, "dataset")
