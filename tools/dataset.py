"""Check, split and convert label files: python tools/dataset.py check FILE --images DIR --fix OUT."""

import argparse

from rtmo_plugin.errors import EXIT_FAILURE, report_user_errors
from rtmo_plugin.labels import FORMATS, check_file, convert_file, split_file

EXAMPLES = """examples:
  python tools/dataset.py check people.json                                    # the file alone: seconds
  python tools/dataset.py check people.json --images photos/ --fix clean.json  # and every image
  python tools/dataset.py split clean.json data/custom/                        # train.json and val.json
  python tools/dataset.py convert people.json cvat.xml --to cvat               # and back: nothing is lost

exit code: 0 nothing is wrong (with --fix: with the copy), 1 something is, 2 the file cannot be read"""


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description="Check labels before training, split and convert them.",
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
    split = commands.add_parser("split", help="divide a COCO file into train.json and val.json, image by image")
    split.add_argument("file", help="COCO file; never changed")
    split.add_argument("out", help="folder for the two")
    split.add_argument("--val", type=float, default=0.2, metavar="SHARE", help="of the images (%(default)s)")
    split.add_argument("--seed", type=int, default=0, help="another seed, other images (%(default)s)")
    split.set_defaults(run=split_file)
    convert = commands.add_parser("convert", help="bring labels to COCO and back; docs/dataset-tool.md says how")
    convert.add_argument("source", help="COCO file, CVAT file, YOLO or LabelMe folder")
    convert.add_argument("out", help="of the same sorts; nothing is overwritten")
    for side, name in (("--from", "source_format"), ("--to", "target_format")):
        convert.add_argument(side, dest=name, choices=("coco", *FORMATS), default="coco", help="format (%(default)s)")
    convert.add_argument("--images", metavar="DIR", help="the images, if the format does not tell their size (YOLO)")
    convert.add_argument("--keypoints", nargs="+", metavar="NAME", help="their names, if the format does not tell them")
    convert.add_argument("--skeleton", nargs="+", metavar="A,B", help="bones for COCO: names of keypoints they join")
    convert.add_argument("--split", default="train", help="of a YOLO folder (%(default)s)")
    convert.set_defaults(run=convert_file)
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
