"""Check, split and convert label files: python tools/dataset.py check FILE --images DIR --fix OUT."""

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.command import run_tool
from rtmo_plugin.cli.dataset import COMMAND

if __name__ == "__main__":
    run_tool(COMMAND, "dataset")
