"""Write a model for other runtimes: python tools/export.py CONFIG CHECKPOINT --format onnx --out FILE."""

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.command import run_tool
from rtmo_plugin.cli.export import COMMAND

if __name__ == "__main__":
    run_tool(COMMAND, "export")
