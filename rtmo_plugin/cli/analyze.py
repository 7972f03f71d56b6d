"""``rtmo analyze``: one page about where a model's errors are."""

from __future__ import annotations

import argparse
from typing import Any

from rtmo_plugin.cli.arguments import CONFIG, add_config_options, add_folder_arguments, add_trust_argument
from rtmo_plugin.cli.command import Command
from rtmo_plugin.number_ranges import NUMBER

_EXAMPLES = (
    "{command} rtmo-s_coco rtmo-s_coco --data-root data/ --out page.html",
    "{command} results.json --annotations val.json --images val2017/ --out page.html",
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", help=f"{CONFIG}; or a result file in COCO's format (.json), with --annotations")
    add(
        "model",
        nargs="?",
        help="model of the config: a checkpoint, an exported file, or a result file of its test data",
    )
    add("--out", required=True, metavar="FILE", help="HTML page to write")
    add("--annotations", metavar="FILE", help="COCO annotations for a result file without a config")
    add("--images", metavar="DIR", help="folder of the images that --annotations names")
    add(
        "--keypoints",
        metavar="NAME",
        help="keypoint set of --annotations: a name, or a JSON file with names, sigmas, flip_pairs and skeleton",
    )
    add(
        "--run",
        metavar="DIR",
        help="work folder of a training run, to plot its curves (default: the folder of the checkpoint)",
    )
    add(
        "--calibration",
        metavar="FILE",
        help="write a score calibration (scores that predict OKS) to FILE (.json), for `rtmo export`",
    )
    add(
        "--uncertainty-calibration",
        metavar="FILE",
        help="measure the standard deviations of keypoints, and write a calibration of them to FILE (.json), for "
        "`rtmo export`",
    )
    add("--num-worst", type=NUMBER, default=20, metavar="N", help="number of images to show on the page")
    add_folder_arguments(parser)
    add_trust_argument(parser)
    add_config_options(parser)


def _run(**arguments: Any) -> None:
    from rtmo_plugin.api import analyze

    report = analyze(**arguments)
    print(f"AP {report.precision:.3f}; the page is {arguments['out']}")
    for finding in report.findings:
        print(f"- {finding.title}: {finding.words}")
    if report.uncertainty is not None:
        print(f"uncertainty: {report.uncertainty.describe()}")


COMMAND = Command("write an HTML page that shows where a model goes wrong", _EXAMPLES, _add_arguments, _run)
