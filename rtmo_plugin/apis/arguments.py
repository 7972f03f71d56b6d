"""Command-line arguments that the tools share, under MMPose's names."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from mmengine.config import DictAction

_LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


class OptionAction(DictAction):  # type: ignore[misc]  # MMEngine has no types
    """MMEngine's KEY=VALUE arguments, with a sentence in place of a traceback for anything else."""

    def __call__(self, parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> None:
        """Parse the values of one ``--cfg-options``."""
        try:
            super().__call__(parser, *args, **kwargs)
        except (ValueError, AssertionError):
            parser.error("--cfg-options takes KEY=VALUE pairs, such as train_cfg.max_epochs=3 or key='[a,b]'")


def make_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments that every tool takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help="config file, such as configs/rtmo-s_coco.py")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionAction,
        metavar="KEY=VALUE",
        help="change values of the config, such as train_cfg.max_epochs=3; lists as key='[a,b]'",
    )
    return parser


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what training and testing have in common."""
    parser.add_argument("--work-dir", help="folder for logs and checkpoints (default: work_dirs/CONFIG)")
    parser.add_argument("--data-root", metavar="DIR", help="folder that holds the data of all datasets of the config")
    parser.add_argument("--show-dir", metavar="DIR", help="draw the predictions on the evaluated images into DIR")
    parser.add_argument("--seed", type=int, help="seed of all random numbers")
    parser.add_argument("--deterministic", action="store_true", help="choose reproducible GPU algorithms")
    parser.add_argument("--launcher", choices=_LAUNCHERS, default="none", help="what started the processes")
    parser.add_argument("--local-rank", "--local_rank", type=int, default=0, help=argparse.SUPPRESS)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the arguments by name, as keyword arguments for ``rtmo_plugin.apis``."""
    values = vars(parser.parse_args(arguments))
    if "local_rank" in values:  # where the launcher passes it as an argument, MMEngine wants a variable
        os.environ.setdefault("LOCAL_RANK", str(values.pop("local_rank")))
    return values
