"""Check and convert label files: python tools/dataset.py check FILE --images DIR --fix OUT."""

import argparse

from rtmo_plugin.errors import EXIT_FAILURE, report_user_errors
from rtmo_plugin.labels import check_file

EXAMPLES = """examples:
  python tools/dataset.py check people.json                                    # the file alone: seconds
  python tools/dataset.py check people.json --images photos/ --fix clean.json  # and every image

exit code: 0 nothing is wrong (with --fix: with the copy), 1 something is, 2 the file cannot be read"""


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description="Look at labelled people before training.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)
    check = commands.add_parser("check", help="say what is wrong with a COCO keypoint file")
    check.add_argument("file", help="COCO keypoint file")
    check.add_argument("--images", metavar="DIR", help="open the images too, which are in DIR")
    check.add_argument("--fix", metavar="OUT", help="write a cleaned copy to OUT; FILE itself is never changed")
    check.add_argument("--examples", type=int, default=3, metavar="N", help="of each kind (%(default)s)")
    check.set_defaults(run=check_file)
    return parser.parse_args()


def main() -> None:
    """Read the arguments, and leave with 1 where something is wrong with the data."""
    arguments = vars(parse_arguments())
    with report_user_errors():
        run = arguments.pop("run")
        if not run(**arguments):
            raise SystemExit(EXIT_FAILURE)


if __name__ == "__main__":
    main()
