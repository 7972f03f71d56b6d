"""The command of ``python -m studies`` and ``tools/ablate.py``: run one of the paper's comparisons."""

from __future__ import annotations

import argparse
from typing import Any

from rtmo_plugin.cli.arguments import add_config_options
from rtmo_plugin.cli.command import Command
from rtmo_plugin.number_ranges import COUNT, POSITIVE

_STUDIES = ("coordinates", "loss", "levels", "neck", "bins", "training", "few", "transfer", "people", "speed")
_EXAMPLES = (
    "{command} coordinates                               # an hour of synthetic people",
    "{command} loss --seeds 5 --budget 600 --data coco --data-root data/",
    "{command} people --seeds 3                          # time only, without training",
)
_NOTES = """An interrupted study resumes when it is called again with the same --work-dir, also with more --seeds.
configs/ablations defines the studies, and docs/ablations.md has their results."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("study", choices=_STUDIES, metavar="STUDY", help=f"name of the study: {', '.join(_STUDIES)}")
    add("--data", default="synthetic", help="training data: synthetic, few (synthetic ones, harder), robots or coco")
    add("--data-root", metavar="DIR", help="folder that holds the data sets")
    add("--seeds", type=COUNT, default=3, metavar="N", help="number of runs of each variant")
    add("--budget", type=POSITIVE, metavar="MINUTES", help="approximate duration of the whole study, which sets "
        "the number of training images (default: that of the folder, or 60)")  # fmt: skip
    add("--images", type=COUNT, metavar="N", help="number of training images of each run, in place of the budget")
    add("--epochs", type=COUNT, metavar="N", help="number of epochs of each run (default: set by the data)")
    add("--transfer-from", metavar="CHECKPOINT", help="weights to start from (default: random weights)")
    add("--teacher", nargs=2, metavar=("CONFIG", "CHECKPOINT"), help="teacher of the variants that have one")
    add(
        "--float32", action="store_true", help="train in single precision, for CPUs without bfloat16 (default: in half)"
    )
    add("--variants", metavar="NAMES", help="variants to measure, with commas between them (default: all)")
    add("--work-dir", metavar="DIR", help="folder of the study (default: work_dirs/ablations/STUDY_DATA)")
    add_config_options(parser)


def _run(*, study: str, work_dir: str | None, cfg_options: dict[str, Any] | None, **arguments: Any) -> None:
    from studies.definitions import Request, load_study
    from studies.study_runs import run_study

    print(run_study(load_study(study), Request(options=cfg_options or {}, **arguments), work_dir))


COMMAND = Command(
    "compare variants of the method, as the paper does: a table and a plot", _EXAMPLES, _add_arguments, _run, _NOTES
)
