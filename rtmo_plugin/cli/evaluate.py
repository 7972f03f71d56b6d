"""``rtmo eval``: measure the accuracy of a model on the test data of a config, or compare two models."""

from __future__ import annotations

import argparse
from typing import Any

from rtmo_plugin.cli.arguments import (
    CHECKPOINT,
    add_config_arguments,
    add_json_argument,
    add_run_arguments,
    add_trust_argument,
)
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.output import keep_stdout_for_json, print_json
from rtmo_plugin.errors import ConfigError

_EXAMPLES = (
    "{command} rtmo-s_coco rtmo-s_coco --data-root data/        # the published weights",
    "{command} rtmo-s_coco rtmo-s.onnx --data-root data/        # an exported file",
    "{command} work_dirs/demo/epoch_6.pth                       # a checkpoint carries its config",
    "{command} rtmo-s_coco --compare a.pth b.onnx               # is the difference more than noise?",
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument(
        "checkpoint", nargs="?", help=f"{CHECKPOINT}; or an exported file, or a result file in COCO's format (.json)"
    )
    add_run_arguments(parser)
    parser.add_argument("--out", metavar="FILE", help="write the metrics to FILE (.json, .yaml or .pkl)")
    parser.add_argument("--dump", metavar="FILE", help="write the predictions to FILE (.pkl)")
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="compare two models of any kind, and say whether the difference is more than noise",
    )
    add_trust_argument(parser)
    add_json_argument(parser, "the metrics")


def _run(*, config: str, compare: list[str] | None, checkpoint: str | None, as_json: bool, **options: Any) -> None:
    if compare and as_json:
        raise ConfigError("--json is for one model: with --compare write --out FILE.json.")
    if compare and checkpoint is not None:
        raise ConfigError(f"--compare names both models: leave {checkpoint} out, or name it there.")
    from rtmo_plugin.api import evaluate

    model, second = compare or (checkpoint, None)
    with keep_stdout_for_json(as_json):
        found = evaluate(config, model, compare_with=second, **options)
    if as_json:
        print_json({**found, "milliseconds": found.speed.milliseconds if found.speed else None})
    else:
        print(f"\n{found.format()}")


COMMAND = Command(
    "measure the accuracy of a model on a test set, or compare two models", _EXAMPLES, _add_arguments, _run
)
