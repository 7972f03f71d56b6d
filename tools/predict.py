"""Draw the people in images: python tools/predict.py CONFIG CHECKPOINT IMAGE_OR_DIR --out DIR."""

import argparse
import sys

import environment  # noqa: F401  (says what to do where packages are missing)

from rtmo_plugin.cli.arguments import CHECKPOINT, add_config_arguments
from rtmo_plugin.cli.command import HelpFormatter
from rtmo_plugin.cli.output import count_detections
from rtmo_plugin.errors import report_user_errors
from rtmo_plugin.number_ranges import FRACTION


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        formatter_class=HelpFormatter,
        description="Find people in images, draw them, and write their keypoints to predictions.json.",
    )
    add_config_arguments(parser)
    parser.add_argument("checkpoint", help=CHECKPOINT)
    parser.add_argument("images", metavar="IMAGE_OR_DIR", help="an image, or a folder of images")
    parser.add_argument("--score-thr", type=FRACTION, default=0.3, help="lowest score of a person")
    parser.add_argument("--device", help="such as cpu or cuda:1 (default: a GPU if there is one)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the plots and predictions.json")
    return parser


def main() -> None:
    """Read the arguments, predict, and print what was found."""
    with report_user_errors():
        arguments = vars(make_parser().parse_args())

        from rtmo_plugin.api import predict

        results = predict(**arguments)
        failed = [result.error for result in results if result.error]
        for error in failed:
            print(f"skipped: {error}", file=sys.stderr)
        num_people, num_images = sum(len(result.people) for result in results), len(results) - len(failed)
        found = count_detections(num_people, num_images)
        print(f"{found}: plots and predictions.json in {arguments['out']}")


if __name__ == "__main__":
    main()
