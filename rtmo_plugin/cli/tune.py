"""``rtmo tune``: find values of a few numbers of a config by short trainings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rtmo_plugin.cli.arguments import (
    CONFIG,
    add_amp_argument,
    add_config_options,
    add_data_argument,
    add_json_argument,
    add_seed_argument,
    add_weights_arguments,
)
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.output import keep_stdout_for_json, print_json
from rtmo_plugin.number_ranges import BATCH_SIZE, COUNT, WORKERS

_EXAMPLES = (
    "{command} rtmo-s_custom --data-root mine/ --transfer-from rtmo-s_body7 --trials 16 --epochs 30",
    "{command} rtmo-t_synthetic --trials 8 --knob lr=1e-4,1e-2 --knob weight_decay",
    "{command} rtmo-s_custom --data-root mine/ --trials 32 --epochs 30 --resume    # continue, or add trials",
)
_NOTES = """knobs: lr, weight_decay, ema_momentum, scale; or a dotted key of a number in the config, with a range
The folder gets trials.csv, trials.png, and best.py for `rtmo train`."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", help=CONFIG)
    add_config_options(parser)
    add(
        "--work-dir",
        metavar="DIR",
        help="folder for logs and checkpoints (default: work_dirs/CONFIG-tune)",
    )
    add_data_argument(parser)
    add("--trials", type=COUNT, default=16, metavar="N", help="number of trials; the first has the config's values")
    add(
        "--epochs",
        type=COUNT,
        metavar="N",
        help="number of epochs; learning rate, stages and validations keep the shape of the config's schedule",
    )
    add(
        "--concurrent",
        type=WORKERS,
        metavar="N",
        help="number of trials at a time, which share CPUs and GPUs (default: one per GPU, or one on CPUs)",
    )
    add(
        "--knob",
        dest="knobs",
        action="append",
        default=[],
        metavar="NAME=LOW,HIGH",
        help="number to vary, with its range or alone; repeat it for several (default: all four)",
    )
    add("--metric", metavar="NAME", help="metric to maximize (default: that of the config's save_best, or AP)")
    add("--resume", action="store_true", help="continue the tuning in the work folder, and try failed trials again")
    add_seed_argument(parser, 0)
    add(
        "--batch-size",
        type=BATCH_SIZE,
        metavar="N",
        help="images that each process loads at a time (default: set by the config)",
    )
    add_weights_arguments(parser)
    add_amp_argument(parser)
    add_json_argument(parser, "the result")


def list_resumed_tuning(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that continue a tuning after an interruption.

    Args:
        arguments: Arguments that started the tuning.

    Examples:
        >>> list_resumed_tuning(["rtmo-s_coco", "--trials", "8"])
        ['rtmo-s_coco', '--trials', '8', '--resume']
    """
    return [*(each for each in arguments if each != "--resume"), "--resume"]


def _run(*, as_json: bool, **arguments: Any) -> None:
    from rtmo_plugin.api import tune

    with keep_stdout_for_json(as_json):
        result = tune(**arguments)
    if as_json:
        print_json(result.describe())
    else:
        print(result)


COMMAND = Command(
    "find learning rate, weight decay and more by short trainings",
    _EXAMPLES,
    _add_arguments,
    _run,
    notes=_NOTES,
    list_resuming_arguments=list_resumed_tuning,
)
