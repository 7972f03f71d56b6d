"""Published weights by short name: python tools/zoo.py list | fetch NAME | path NAME."""

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.command import run_tool
from rtmo_plugin.cli.zoo import COMMAND

if __name__ == "__main__":
    run_tool(COMMAND, "zoo")
