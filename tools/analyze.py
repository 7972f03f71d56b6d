"""See where the errors are: python tools/analyze.py configs/rtmo-s_coco.py rtmo-s.pth --out page.html."""

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.analyze import COMMAND
from rtmo_plugin.cli.command import run_tool

if __name__ == "__main__":
    run_tool(COMMAND, "analyze")
