"""Train a model: python tools/train.py configs/rtmo-m_coco.py --data-root data/."""

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.command import run_tool
from rtmo_plugin.cli.train import COMMAND

if __name__ == "__main__":
    run_tool(COMMAND, "train")
