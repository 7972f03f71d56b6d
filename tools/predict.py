"""Find the people in images: python tools/predict.py CHECKPOINT photos/ --config configs/rtmo-m_coco.py --out DIR."""

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.command import run_tool
from rtmo_plugin.cli.predict import COMMAND

if __name__ == "__main__":
    run_tool(COMMAND, "predict")
