"""``rtmo benchmark``: measure your models on this machine, side by side."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping
from typing import Any

from rtmo_plugin.cli.arguments import CHECKPOINT, add_data_argument, add_json_argument, add_pose_arguments
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.output import keep_stdout_for_json, print_json
from rtmo_plugin.errors import MissingFileError
from rtmo_plugin.number_ranges import BATCH_SIZE, COUNT, THREADS

# Subjects of `python -m benchmarks`, which this command refuses with a sentence.
COMPARISONS = (
    *("infer", "formats", "eval", "data", "loading", "train", "keypoints", "learning"),
    *("gpu-training", "gpu-inference"),
)
_EXAMPLES = (
    "{command} rtmo-s.onnx                                   # the fastest installed runtime",
    "{command} rtmo-s.onnx rtmo-s.xml mine.pth --threads 2   # files and checkpoints side by side",
    "{command} rtmo-s.onnx --runtime openvino,onnxruntime --images photos/",
    "{command} rtmo-s.onnx --data rtmo-s_coco --data-root data/ --out speed.json",
)
_NOTES = """Models take turns, so that other programs on the machine slow down all of them alike. The columns:

  ms, p90 ms    from an image in memory to people, one image at a time: median and 90th percentile
  network ms    the network alone, with NMS where that is part of the file: median
  images/s      throughput in batches of --batch-size; OpenVINO and ONNX Runtime compute two side by side
  peak MiB      peak memory of a new process that finds people in one image
  file MB       size of the model with the files that belong to it
  start s       from the start of the import until the first people are found, in a new process
  people        people found per image
  AP            average precision, as `rtmo eval` computes it

To compare with MMPose, rtmlib or YOLO, run `python -m benchmarks --help` in a clone."""


class _ModelsAction(argparse.Action):
    """Take the names of models."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        """Take the names, unless one is that of a comparison with other projects.

        Raises:
            MissingFileError: One is.
        """
        for name in values:
            if name in COMPARISONS and not os.path.isfile(name):
                raise MissingFileError(
                    f"rtmo benchmark measures your own models: run `python -m benchmarks {name}` in a clone of the "
                    "repository to compare with other projects."
                )
        setattr(namespace, self.dest, values)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "models",
        nargs="+",
        action=_ModelsAction,
        metavar="FILE",
        help=f"exported file, such as rtmo-s.onnx; or {CHECKPOINT}",
    )
    add("--images", metavar="DIR", help="image or folder, of which the first 8 images are used (default: noise)")
    add("--data", metavar="CONFIG", help="compute AP on the test data of this config")
    add_data_argument(parser)
    add("--annotations", metavar="FILE", help="compute AP on the images of --images with these COCO annotations")
    add("--runtime", metavar="NAMES", default="", help="runtimes of exported files, separated by commas: openvino, "
        "onnxruntime, tensorrt, torch, ncnn, litert, engine, executorch (default: the fastest one)")  # fmt: skip
    add("--threads", type=THREADS, metavar="N", help="CPU threads (default: all cores)")
    add("--size", metavar="WxH", help="width and height of the input, for exported files of a dynamic size")
    add("--batch-size", type=BATCH_SIZE, default=1, metavar="N", help="images per batch, to measure images/s")
    add("--rounds", type=COUNT, default=20, metavar="N", help="images per model, one at a time")
    add_pose_arguments(parser)
    add("--out", metavar="FILE", help="write everything to FILE as JSON")
    add_json_argument(parser, "everything")


def _run(*, out: str | None, as_json: bool, **given: Any) -> None:
    from rtmo_plugin.export.export_options import parse_size
    from rtmo_plugin.files import check_outputs
    from rtmo_plugin.speed.model_speed import SpeedOptions, measure_models

    if out is not None:
        check_outputs([out], given["models"])
    command, options = _write_command(given), dict(given)
    models, runtimes, size = (options.pop(name) for name in ("models", "runtime", "size"))
    options["runtimes"] = tuple(filter(None, runtimes.split(",")))
    options["size_wh"] = parse_size(size) if size else None
    with keep_stdout_for_json(as_json):
        report = measure_models(models, SpeedOptions(**options), command)
    if out is not None:
        report.write(out)
    if as_json:
        print_json(report.describe())
    else:
        print(f"\n{report.format()}")


def _write_command(given: Mapping[str, Any]) -> str:
    """Return the command that measures the same."""
    words = ["rtmo", "benchmark", *given["models"]]
    for name, value in given.items():
        if name != "models" and value not in (None, ""):
            values = [f"{key}={each}" for key, each in value.items()] if isinstance(value, dict) else [str(value)]
            words += [f"--{name.replace('_', '-')}", *([] if value is True else values)]
    return shlex.join(words)


COMMAND = Command("measure the latency, throughput, memory and AP of your models on this machine", _EXAMPLES,
                  _add_arguments, _run, _NOTES)  # fmt: skip
