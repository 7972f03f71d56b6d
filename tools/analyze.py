"""See where the errors are: python tools/analyze.py configs/rtmo-s_coco.py rtmo-s.pth --out page.html."""

from rtmo_plugin.cli.analyze import COMMAND
from rtmo_plugin.cli.command import run_tool

if __name__ == "__main__":
    run_tool(COMMAND, "analyze")
