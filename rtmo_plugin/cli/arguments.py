"""Arguments that several commands take, those of training and testing under MMPose's names."""

from __future__ import annotations

import argparse
from typing import Any

from rtmo_plugin.number_ranges import FRACTION, NUMBER, SEED, THREADS

CHECKPOINT = "checkpoint: file, URL, or a published name such as rtmo-s_body7 (rtmo zoo list)"
# Options of ``add_model_arguments``, without the model itself.
MODEL_OPTIONS = ("config", "score_thr", "device", "threads", "precision", "trust")
_LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


class OptionAction(argparse.Action):
    """MMEngine's KEY=VALUE arguments, with a sentence in place of a traceback for anything else."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: Any, **options: Any) -> None:
        """Parse the values of one ``--cfg-options``."""
        from mmengine.config import DictAction  # loads torch, which --help does without

        try:
            DictAction(self.option_strings, self.dest, nargs=self.nargs)(parser, *arguments, **options)
        except (ValueError, AssertionError):
            parser.error("--cfg-options takes KEY=VALUE pairs, such as train_cfg.max_epochs=3 or key='[a,b]'")


def add_model_arguments(parser: argparse.ArgumentParser, score_thr: float = 0.3) -> None:
    """Add a model in whatever form it is, as ``rtmo_plugin.Pose`` takes it."""
    parser.add_argument("model", help=f"an exported file, such as rtmo-s.onnx; or a {CHECKPOINT}")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="config of a checkpoint: a file or a shipped name (default: the one that the checkpoint carries)",
    )
    parser.add_argument(
        "--score-thr",
        type=FRACTION,
        default=score_thr,
        metavar="SCORE",
        help="leave out people below this score (%(default)s)",
    )
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="device, such as cpu or cuda:0 (default: cpu; for a checkpoint a GPU, if there is one)",
    )
    parser.add_argument(
        "--threads", type=THREADS, metavar="N", help="CPU threads, for exported files only (default: all cores)"
    )
    parser.add_argument(
        "--precision",
        metavar="NAME",
        help="precision of an exported file: float32 or auto, the fastest (default: auto)",
    )
    add_trust_argument(parser)


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust``, for commands that open exported files."""
    parser.add_argument(
        "--trust",
        action="store_true",
        default=None,
        help="run the code in a .pt or .pt2 file that was not exported on this machine (needed once per file)",
    )


def choose_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, for ``Pose``, whose defaults depend on the model."""
    return {name: value for name, value in options.items() if value is not None}


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a config and its changed values."""
    parser.add_argument(
        "config",
        help="config: a file, the name of a shipped one such as rtmo-s_coco, or a checkpoint that carries its config",
    )
    add_config_options(parser)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add changed values of a config."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionAction,
        metavar="KEY=VALUE",
        help="change values of the config, such as train_cfg.max_epochs=3; lists as key='[a,b]'",
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share."""
    parser.add_argument("--work-dir", metavar="DIR", help="folder for logs and checkpoints (default: work_dirs/CONFIG)")
    parser.add_argument("--data-root", metavar="DIR", help="folder that holds the data of all datasets of the config")
    parser.add_argument(
        "--show-dir", metavar="DIR", help="folder for the evaluated images with the predictions drawn on them"
    )
    parser.add_argument("--seed", type=SEED, metavar="N", help="seed of all random numbers")
    parser.add_argument("--deterministic", action="store_true", help="choose reproducible GPU algorithms")
    parser.add_argument(
        "--launcher", choices=_LAUNCHERS, default="none", help="launcher that started the processes (%(default)s)"
    )
    parser.add_argument("--local-rank", "--local_rank", type=NUMBER, default=0, help=argparse.SUPPRESS)


def add_json_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--json``: ``what`` goes to stdout for a program, and everything else to stderr."""
    parser.add_argument("--json", action="store_true", dest="as_json", help=f"print {what} as JSON, and nothing else")
