"""Arguments of several commands; those of training and testing have MMPose's names."""

from __future__ import annotations

import argparse
from typing import Any

from rtmo_plugin.number_ranges import BATCH_SIZE, FRACTION, NUMBER, SEED, THREADS

CONFIG = "config: a file, or the name of a shipped one such as rtmo-s_coco"
CHECKPOINT = "checkpoint: a file, a URL, or a published name such as rtmo-s_body7 (see rtmo zoo list)"
# Options of ``add_model_arguments``, without the model itself.
MODEL_OPTIONS = ("config", "cfg_options", "score_thr", "device", "threads", "precision", "graphs", "runtime", "trust")
_LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


class OptionAction(argparse.Action):
    """MMEngine's KEY=VALUE arguments, with a sentence instead of a traceback for other values."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: Any, **options: Any) -> None:
        """Parse the values of one ``--cfg-options``."""
        from mmengine.config import DictAction  # loads torch, which --help does not need

        try:
            DictAction(self.option_strings, self.dest, nargs=self.nargs)(parser, *arguments, **options)
        except (ValueError, AssertionError):
            parser.error("--cfg-options takes KEY=VALUE pairs, such as train_cfg.max_epochs=3 or key='[a,b]'")


def add_model_arguments(parser: argparse.ArgumentParser, score_thr: float = 0.3) -> None:
    """Add a model in any form that ``rtmo_plugin.Pose`` takes, and its options."""
    add = parser.add_argument
    add("model", help=f"exported file, such as rtmo-s.onnx; or {CHECKPOINT}")
    add("--threads", type=THREADS, metavar="N", help="CPU threads (exported files only; default: all cores)")
    add(
        "--runtime",
        metavar="NAME",
        help="runtime of an exported file: openvino, onnxruntime, tensorrt, torch, ncnn, litert, engine or executorch "
        "(default: the fastest installed one that reads the file)",
    )
    add(
        "--graphs",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compute a checkpoint on an NVIDIA GPU by CUDA graphs in float16; without, one image at a time in float32 "
        "(default: --graphs)",
    )
    add_pose_arguments(parser, score_thr)
    add_config_options(parser)


def add_pose_arguments(parser: argparse.ArgumentParser, score_thr: float = 0.3) -> None:
    """Add the options of a model that exported files and checkpoints have in common."""
    add = parser.add_argument
    add("--config", metavar="FILE", help=f"{CONFIG} (default: the one that the checkpoint carries)")
    add_score_argument(parser, score_thr)
    add(
        "--device",
        metavar="NAME",
        help="device to compute on, such as cpu or cuda:0 (default: cpu; for a checkpoint a GPU, if there is one)",
    )
    add(
        "--precision",
        metavar="NAME",
        help="precision of an exported file: float32, or auto for the fastest that is exact enough; of a checkpoint on "
        "an NVIDIA GPU: float16, bfloat16 or float32 (default: auto, which is float16 for a checkpoint there)",
    )
    add_trust_argument(parser)


def add_score_argument(parser: argparse.ArgumentParser, default: float | None) -> None:
    """Add ``--score-thr``; without a ``default`` the config sets it."""
    shown = " (default: set by the config)" if default is None else ""
    parser.add_argument(
        "--score-thr",
        type=FRACTION,
        default=default,
        metavar="SCORE",
        help=f"lowest score of a detected person, 0 to 1{shown}",
    )


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust``, for commands that open exported files."""
    parser.add_argument(
        "--trust",
        action="store_true",
        default=None,
        help="run the code in a .pt, .pt2 or .engine file that was not exported on this machine (needed once per file)",
    )


def choose_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the given options, for ``Pose``, whose defaults depend on the model."""
    return {name: value for name, value in options.items() if value is not None}


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a config, or a checkpoint that carries its config, and ``--cfg-options``."""
    parser.add_argument("config", help=f"{CONFIG}; or a checkpoint that carries its config")
    add_config_options(parser)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionAction,
        metavar="KEY=VALUE",
        help="change values of the config, such as train_cfg.max_epochs=3; lists as key='[a,b]'",
    )


def add_folder_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folders of logs and of data."""
    parser.add_argument("--work-dir", metavar="DIR", help="folder for logs and checkpoints (default: work_dirs/CONFIG)")
    add_data_argument(parser)


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--data-root``."""
    parser.add_argument("--data-root", metavar="DIR", help="folder that holds the data of all datasets of the config")


def add_seed_argument(parser: argparse.ArgumentParser, default: int | None = None) -> None:
    """Add ``--seed``; without a ``default`` it is drawn at random."""
    shown = " (default: random)" if default is None else ""
    parser.add_argument("--seed", type=SEED, default=default, metavar="N", help=f"seed of all random numbers{shown}")


def add_batch_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--batch-size``."""
    parser.add_argument("--batch-size", type=BATCH_SIZE, default=1, metavar="N", help="images or frames per batch")


def add_weights_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the weights that a training starts from."""
    parser.add_argument(
        "--load-from",
        metavar="CHECKPOINT",
        help="start from the weights of a checkpoint: a file, a URL, or a published name (see rtmo zoo list)",
    )
    parser.add_argument(
        "--transfer-from",
        metavar="CHECKPOINT",
        help="start from the weights of a model with other keypoints or classes, which are matched by name",
    )
    parser.add_argument("--from-scratch", action="store_true", help="start from random weights, without a download")


def add_amp_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--amp``."""
    parser.add_argument(
        "--amp",
        action="store_true",
        help="train in mixed half precision, on GPUs and on CPUs that compute in bfloat16 (slower on others)",
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share."""
    add_folder_arguments(parser)
    add = parser.add_argument
    add("--show-dir", metavar="DIR", help="folder for the evaluated images with the predictions drawn on them")
    add_seed_argument(parser)
    add("--deterministic", action="store_true", help="choose reproducible GPU algorithms")
    add(
        "--launcher",
        choices=_LAUNCHERS,
        default="none",
        help="launcher that started the processes of a distributed run",
    )
    add("--local-rank", "--local_rank", type=NUMBER, default=0, help=argparse.SUPPRESS)


def add_json_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--json``, which prints ``what`` to stdout and all else to stderr."""
    parser.add_argument("--json", action="store_true", dest="as_json", help=f"print {what} as JSON, and nothing else")


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--csv`` and ``--openpose``."""
    parser.add_argument("--csv", metavar="FILE", help="CSV table to write, with one row per person")
    parser.add_argument(
        "--openpose", metavar="DIR", help="folder for a JSON file in OpenPose's layout for each image or frame"
    )
