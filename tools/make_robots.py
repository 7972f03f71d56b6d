"""Draw a small data set with keypoints of its own: python tools/make_robots.py FOLDER --num-images 200."""

import argparse

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.command import HelpFormatter
from rtmo_plugin.errors import report_user_errors
from rtmo_plugin.number_ranges import COUNT, SEED
from rtmo_plugin.wording import count


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        formatter_class=HelpFormatter,
        description="Draw robots with five keypoints and two classes, labeled as with LabelMe. "
        "docs/custom-data.md trains a model on them.",
    )
    parser.add_argument("folder", help="folder to write; made if it is missing")
    parser.add_argument("--num-images", type=COUNT, default=200, metavar="N", help="number of images")
    parser.add_argument("--seed", type=SEED, default=0, metavar="N", help="seed of all random numbers")
    return parser


def main() -> None:
    """Draw the images and write them, each with its LabelMe file."""
    arguments = make_parser().parse_args()
    with report_user_errors():
        from rtmo_plugin.data import write_robots

        num_written = sum(1 for _ in write_robots(arguments.folder, arguments.num_images, arguments.seed))
        print(f"{count(num_written, 'image')} with LabelMe files: {arguments.folder}")


if __name__ == "__main__":
    main()
