"""``rtmo train``: train the model of a config."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rtmo_plugin.cli.arguments import (
    CONFIG,
    add_amp_argument,
    add_config_options,
    add_json_argument,
    add_run_arguments,
    add_weights_arguments,
)
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.output import keep_stdout_for_json, print_json
from rtmo_plugin.errors import InterruptedRun
from rtmo_plugin.number_ranges import BATCH_SIZE_OR_AUTO, COUNT, GIGABYTES

_EXAMPLES = (
    "{command} rtmo-s_coco --data-root data/                    # MMPose's layout below data/",
    "{command} rtmo-s_coco --resume                             # continue from the last checkpoint",
    "{command} rtmo-t_synthetic                                 # drawn people: needs no data",
    "{command} rtmo-s_coco --data-root data/ --dry-run          # how fast, how much memory, how many hours",
    "{command} rtmo-s_custom --data-root mine/                  # your keypoints: docs/custom-data.md",
)

_STARTS = ("--resume", "--load-from", "--transfer-from", "--overwrite")  # of no use to a run that is continued
_SHORTEST = len("--r")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help=CONFIG)
    add_config_options(parser)
    add_run_arguments(parser)
    _add_start_arguments(parser)
    _add_speed_arguments(parser)
    _add_batch_arguments(parser)
    parser.add_argument(
        "--epochs",
        type=COUNT,
        metavar="N",
        help="number of epochs; learning rate, stages and validations keep the shape of the config's schedule",
    )
    parser.add_argument(
        "--patience",
        type=COUNT,
        metavar="N",
        help="end training after N validations without a higher AP (default: train for all epochs)",
    )
    parser.add_argument(
        "--freeze",
        metavar="PARTS",
        help="parts of the model whose weights stay as they are, such as backbone,neck (default: none)",
    )
    parser.add_argument(
        "--teacher",
        nargs=2,
        metavar=("CONFIG", "CHECKPOINT"),
        help="trained model with the same keypoints, whose predictions are learned beside the labels (default: none)",
    )
    parser.add_argument(
        "--augment",
        metavar="NAMES",
        help="optional transforms of training images, with commas between them: copy-paste, occlusion (default: those "
        "of the config)",
    )
    parser.add_argument(
        "--logger",
        metavar="NAMES",
        help="programs and files that get the numbers of the log too, with commas between them: tensorboard, wandb, "
        "mlflow, csv (default: none)",
    )
    parser.add_argument("--no-validate", dest="validate", action="store_false", help="do not evaluate during training")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="train 50 steps at most, keep nothing, and print images/s, memory, the hours of the whole training, and "
        "what would make it faster",
    )
    add_json_argument(parser, "the result, or that of the dry run,")


def _add_batch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the numbers of images in a batch and in an optimizer step."""
    parser.add_argument(
        "--batch-size",
        type=BATCH_SIZE_OR_AUTO,
        metavar="N",
        help="images that each process loads at a time, or auto for the most that the GPU's memory has room for "
        "(default: set by the config)",
    )
    parser.add_argument(
        "--total-batch",
        type=COUNT,
        metavar="IMAGES",
        help="images per optimizer step, accumulated over several batches (default: one batch)",
    )
    parser.add_argument("--auto-scale-lr", action="store_true", help="scale the learning rate to the actual batch size")


def _add_speed_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what makes a training faster and leaves its result as it is, up to rounding."""
    add_amp_argument(parser)
    parser.add_argument(
        "--compile",
        dest="compiled",
        action="store_true",
        help="compile the network with torch.compile, which takes minutes and can be slower",
    )
    parser.add_argument(
        "--graphs",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="run the network as CUDA graphs and let nothing wait for the GPU; losses are logged one step late "
        "(default: on NVIDIA GPUs, unless --compile is given)",
    )
    parser.add_argument(
        "--cache-gb", type=GIGABYTES, default=0, metavar="GB", help="memory for decoded training images, in gigabytes"
    )


def _add_start_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a run starts from."""
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="continue from CHECKPOINT, or without a value from the last checkpoint in the work folder",
    )
    add_weights_arguments(parser)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove the checkpoints of an earlier run in the work folder; without it, a new run there is refused",
    )


def list_resuming_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that continue a training after an interruption.

    Args:
        arguments: Arguments that started the training.

    Examples:
        >>> list_resuming_arguments(["rtmo-s_coco", "--load-from", "a.pth", "--amp"])
        ['rtmo-s_coco', '--amp', '--resume']
    """
    kept: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        name, has_value = argument.partition("=")[::2]
        if len(name) < _SHORTEST or not any(start.startswith(name) for start in _STARTS):  # argparse takes short forms
            kept.append(argument)
        elif not "--overwrite".startswith(name) and not has_value and left and not left[0].startswith("-"):
            left.pop(0)
    return [*kept, "--resume"]


def _run(*, as_json: bool, **arguments: Any) -> None:
    from mmengine.dist import is_main_process

    from rtmo_plugin.api import train
    from rtmo_plugin.engine.console import print_once

    try:
        with keep_stdout_for_json(as_json):
            result = train(**arguments)
    except InterruptedRun as error:
        if is_main_process() and not arguments["dry_run"]:
            raise
        if is_main_process():  # there is nothing to resume
            print(f"\n{error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None  # the main process prints the message
    if not as_json:
        print_once(result)
    elif is_main_process():
        print_json(result.describe())


COMMAND = Command(
    "train a model on COCO, CrowdPose or your own keypoints",
    _EXAMPLES,
    _add_arguments,
    _run,
    list_resuming_arguments=list_resuming_arguments,
)
