"""Train, test and draw on synthetic people, from random weights: python tools/demo.py."""

import argparse
from pathlib import Path

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.command import HelpFormatter
from rtmo_plugin.errors import report_user_errors

CONFIG = Path(__file__).parents[1] / "configs/rtmo-t_synthetic.py"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        formatter_class=HelpFormatter,
        description="Train RTMO-t on drawn people, test it on held-out ones, and draw its predictions.",
        epilog="example: python tools/demo.py --work-dir work_dirs/demo",
    )
    parser.add_argument("--work-dir", default="work_dirs/demo", metavar="DIR", help="folder of all results")
    return parser


def main() -> None:
    """Read the arguments, run the demo, and print its result."""
    with report_user_errors():
        arguments = make_parser().parse_args()
        from rtmo_plugin.demo import run_demo

        print("Training RTMO-t on synthetic people from random weights: about ten minutes on 2 cores.")
        print(f"\n{run_demo(CONFIG, arguments.work_dir)}")


if __name__ == "__main__":
    main()
