"""``rtmo analyze``: one page about where a model's errors are."""

from __future__ import annotations

import argparse
from typing import Any

from rtmo_plugin.cli.arguments import add_config_options, add_trust_argument
from rtmo_plugin.cli.command import Command
from rtmo_plugin.number_ranges import NUMBER

_EXAMPLES = (
    "{command} rtmo-s_coco rtmo-s_coco --data-root data/ --out page.html",
    "{command} results.json --annotations val.json --images val2017/ --out page.html",
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", help="config: file or name; or a result file in COCO's format (.json), with --annotations")
    add("model", nargs="?", help="after a config: a checkpoint, an exported file, or a result file of its test data")
    add("--out", required=True, metavar="FILE", help="the page (.html)")
    add("--annotations", metavar="FILE", help="annotation file of a result file without a config")
    add("--images", metavar="DIR", help="folder of its images")
    add("--keypoints", metavar="NAME", help="coco, crowdpose, or a JSON file with names, sigmas, flip_pairs, skeleton")
    add("--run", metavar="DIR", help="work dir of a training, for its curves (default: the checkpoint's, if it is one)")
    add("--calibration", metavar="FILE", help="write a calibration of the scores to FILE (.json)")
    add("--num-worst", type=NUMBER, default=20, metavar="N", help="number of images to show (%(default)s)")
    add("--data-root", metavar="DIR", help="folder that holds the data of the config")
    add("--work-dir", metavar="DIR", help="folder for logs (default: work_dirs/CONFIG)")
    add_trust_argument(parser)
    add_config_options(parser)


def _run(**arguments: Any) -> None:
    from rtmo_plugin.analysis import analyze

    report = analyze(**arguments)
    print(f"AP {report.precision:.3f}; the page is {arguments['out']}")
    for finding in report.findings:
        print(f"- {finding.title}: {finding.words}")


COMMAND = Command("write one HTML page about where a model's errors are", _EXAMPLES, _add_arguments, _run)
