"""Evaluate a model: python tools/test.py configs/rtmo-m_coco.py CHECKPOINT --data-root data/."""

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.command import run_tool
from rtmo_plugin.cli.evaluate import COMMAND

if __name__ == "__main__":
    run_tool(COMMAND, "test")
