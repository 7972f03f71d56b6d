"""``rtmo dataset``: check, fix, show, draft, merge, split and convert keypoint labels."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from rtmo_plugin.cli.arguments import add_batch_argument, add_model_arguments, add_seed_argument, choose_options
from rtmo_plugin.cli.command import Command, add_subcommand
from rtmo_plugin.errors import EXIT_FAILURE
from rtmo_plugin.number_ranges import COUNT, NUMBER, SHARE

_ACTIONS = {
    "check": (
        "report what is wrong with a COCO keypoint file, and write a fixed copy",
        "people.json --images photos/ --fix clean.json",
    ),
    "show": (
        "write a page with the labels drawn on their images, and with statistics",
        "people.json --images photos/ --out labels.html",
    ),
    "label": (
        "write predictions as labels to correct, the least certain images first",
        "best.pth photos/ --to cvat --out to_correct.xml",
    ),
    "split": ("divide a COCO file into train.json and val.json, image by image", "clean.json data/custom/"),
    "merge": (
        "join COCO files, also of different keypoints, into one file with one keypoint set",
        "people.json dogs.json --out both.json --images photos/ dogs/",
    ),
    "convert": (
        "convert labels of a labeling tool to COCO, or COCO to YOLO, LabelMe, CVAT or Label Studio",
        "annotations.xml people.json --from cvat",
    ),
}
_EXAMPLES = (
    "{command} check people.json                                    # the file alone: seconds",
    "{command} check people.json --images photos/ --fix clean.json  # and every image",
    "{command} show clean.json --images photos/                     # the labels drawn, on a page: labels.html",
    "{command} split clean.json data/custom/                        # train.json and val.json",
    "{command} convert annotations.xml people.json --from cvat      # CVAT's export to COCO",
    "{command} label best.pth photos/ --to cvat --out to_correct.xml    # predictions, to be corrected",
)
_NOTES = "exit code: 0 nothing is wrong (with --fix: with the copy), 1 something is, 2 the file cannot be read"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar=" | ".join(_ACTIONS))
    for (name, (purpose, example)), add_own in zip(
        _ACTIONS.items(), (_add_check, _add_show, _add_label, _add_split, _add_merge, _add_convert)
    ):
        add_own(add_subcommand(commands, name, purpose, example))


def _add_check(parser: argparse.ArgumentParser) -> None:
    from rtmo_plugin.labels import check_file

    parser.add_argument("file", metavar="FILE", help="COCO keypoint file to check; never changed")
    parser.add_argument(
        "--images", metavar="DIR", help="folder of the images, to open each of them and compare its size"
    )
    parser.add_argument("--fix", metavar="OUT", help="write a fixed copy to OUT; FILE itself is never changed")
    parser.add_argument("--examples", type=NUMBER, default=3, metavar="N", help="examples shown per kind of finding")
    parser.set_defaults(action=check_file)


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("labels", metavar="LABELS", help="label file or folder; never changed")
    parser.add_argument("--images", metavar="DIR", help="folder of the images (default: statistics only)")
    parser.add_argument(
        "--out",
        default="labels.html",
        metavar="OUT",
        help="page (.html), or folder of drawn images that does not exist yet",
    )
    parser.add_argument("--limit", type=COUNT, default=40, metavar="N", help="largest number of images")
    _add_source_format(parser)
    parser.set_defaults(action=_show)


def _show(**arguments: Any) -> bool:
    from rtmo_plugin.analysis.label_page import show_labels  # which loads OpenCV

    return show_labels(**arguments)


def _add_label(parser: argparse.ArgumentParser) -> None:
    from rtmo_plugin.labels.conversion import WRITTEN

    add_model_arguments(parser)
    parser.add_argument("folder", metavar="DIR", help="folder of images; images below it count")
    parser.add_argument("--to", dest="target_format", choices=("coco", *WRITTEN), default="coco", help="format of OUT")
    parser.add_argument("--out", required=True, metavar="OUT", help="file or folder to write; it must not exist yet")
    parser.add_argument(
        "--limit",
        type=COUNT,
        metavar="N",
        help="largest number of images (default: all; the least certain ones are written)",
    )
    parser.add_argument("--skip", metavar="FILE", help="COCO file whose images are left out, as they are labeled")
    parser.add_argument(
        "--order",
        choices=("score", "deviation"),
        default="score",
        help="measure of certainty: scores of people, or standard deviations of keypoints, if the model has them",
    )
    parser.add_argument(
        "--address",
        default="",
        metavar="TEXT",
        help="text before the image names in Label Studio's tasks, such as /data/local-files/?d=x/ (default: none)",
    )
    add_batch_argument(parser)
    parser.set_defaults(action=_label)


def _label(**arguments: Any) -> bool:
    from rtmo_plugin.pose.label_drafts import draft_labels

    return draft_labels(**choose_options(arguments))


def _add_split(parser: argparse.ArgumentParser) -> None:
    from rtmo_plugin.labels import split_file

    parser.add_argument("file", metavar="FILE", help="COCO keypoint file to split; never changed")
    parser.add_argument("out", metavar="OUT", help="folder to write train.json and val.json to")
    parser.add_argument("--val", type=SHARE, default=0.2, metavar="SHARE", help="share of the images for validation")
    add_seed_argument(parser, 0)
    parser.set_defaults(action=split_file)


def _add_merge(parser: argparse.ArgumentParser) -> None:
    from rtmo_plugin.labels import merge_files

    parser.add_argument("files", nargs="+", metavar="FILE", help="COCO keypoint files to merge; never changed")
    parser.add_argument("--out", required=True, metavar="OUT", help="file to write; it must not exist yet")
    parser.add_argument(
        "--images",
        nargs="+",
        default=(),
        metavar="DIR",
        help="folder of each file's images; file names are then paths below the folder that these share "
        "(default: file names stay as they are)",
    )
    parser.add_argument(
        "--one-class", metavar="NAME", help="put all people into one class NAME (default: classes stay)"
    )
    parser.set_defaults(action=merge_files)


def _add_convert(parser: argparse.ArgumentParser) -> None:
    from rtmo_plugin.labels import convert_file
    from rtmo_plugin.labels.conversion import WRITTEN

    parser.add_argument("source", metavar="SOURCE", help="label file, or folder of label files")
    parser.add_argument("out", metavar="OUT", help="file or folder to write; it must not exist yet")
    _add_source_format(parser)
    parser.add_argument("--to", dest="target_format", choices=("coco", *WRITTEN), default="coco", help="format of OUT")
    parser.add_argument(
        "--images",
        metavar="DIR",
        help="folder of the images, for labels without their sizes (default: beside the labels, or as data.yaml says)",
    )
    parser.add_argument(
        "--keypoints", nargs="+", metavar="NAME", help="keypoint names in order (default: those in the labels)"
    )
    parser.add_argument(
        "--skeleton",
        nargs="+",
        metavar="A,B",
        help="bones, each as the names of two keypoints (default: those in the labels)",
    )
    parser.add_argument("--split", default="train", metavar="NAME", help="split of a folder that has several")
    parser.set_defaults(action=convert_file)


def _add_source_format(parser: argparse.ArgumentParser) -> None:
    from rtmo_plugin.labels import FORMATS

    parser.add_argument(
        "--from",
        dest="source_format",
        choices=("coco", *FORMATS),
        help="format of the labels (default: the one that the files show)",
    )


def _run(*, action: Callable[..., bool], **arguments: Any) -> int:
    return 0 if action(**arguments) else EXIT_FAILURE


COMMAND = Command(
    "check, fix, show, merge, split, convert and draft keypoint labels", _EXAMPLES, _add_arguments, _run, _NOTES
)
