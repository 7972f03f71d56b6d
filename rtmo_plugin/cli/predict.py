"""``rtmo predict``: find the people in images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rtmo_plugin.cli.arguments import CHECKPOINT, add_config_options, add_json_argument
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.output import keep_stdout_for_json, print_json
from rtmo_plugin.errors import EXIT_FAILURE, ConfigError
from rtmo_plugin.inference.engines import RUNTIMES

_EXAMPLES = (
    "{command} rtmo-s.onnx photo.jpg --out found/               # an exported file: needs neither torch nor MMPose",
    "{command} rtmo-s.onnx photos/ --json > people.jsonl        # one line an image",
    "{command} mine.pth photos/ --config rtmo-s_coco --out found/",
)
_NOTES = """A line of --json: {"image": path, "people": [{"score": 0..1, "box": [x1, y1, x2, y2],
"keypoints": [[x, y, score], ...]}, ...], "error": null, or why the image could not be used}.
Coordinates are pixels of the image.

exit code: 0 every image was used, 1 some were not, 2 something in the input is wrong"""
_SUFFIXES = {suffix for _, suffixes in RUNTIMES.values() for suffix in suffixes}


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what has nothing to do with the kind of model."""
    parser.add_argument("images", metavar="IMAGE_OR_DIR", help="an image, or a folder of images")
    parser.add_argument("--score-thr", type=float, default=0.3, help="leave out people below this score (%(default)s)")
    parser.add_argument("--device", help="such as cpu or cuda:1 (default: what there is)")
    add_config_options(parser)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help=f"an exported file ({', '.join(sorted(_SUFFIXES))}); or a {CHECKPOINT}")
    add_image_arguments(parser)
    parser.add_argument("--config", help="config of a checkpoint: a file or a shipped name (default: MODEL, as a name)")
    parser.add_argument("--out", metavar="DIR", help="folder for pictures")
    add_json_argument(parser, "a line for each image")


def _run(*, model: str, as_json: bool, **arguments: Any) -> int:
    is_exported = Path(model).suffix.lower() in _SUFFIXES
    with keep_stdout_for_json(as_json):
        results = _use_exported(model, **arguments) if is_exported else _use_checkpoint(model, **arguments)
    out = arguments["out"]
    return report(results, as_json=as_json, where=f": pictures in {out}" if out else "")


def _use_exported(model: str, *, config: str | None, cfg_options: Any, **arguments: Any) -> Iterable[dict[str, Any]]:
    from rtmo_plugin.inference.predicting import predict_images

    if config or cfg_options:
        raise ConfigError(f"--config and --cfg-options are for checkpoints, and {model} is an exported file.")
    device = arguments.pop("device")
    return predict_images(model, **arguments, **({"device": device} if device else {}))


def _use_checkpoint(model: str, *, config: str | None, out: str | None, **arguments: Any) -> Iterable[dict[str, Any]]:
    from dataclasses import asdict

    from rtmo_plugin.apis import predict

    if out is None:
        raise ConfigError("A checkpoint needs --out DIR, a folder for pictures.")
    if config is None and Path(model).suffix:
        raise ConfigError(f"{model} needs its config: name it with --config, such as --config rtmo-s_coco.")
    return [asdict(result) for result in predict(config or model, model, out=out, **arguments)]


def report(results: Iterable[dict[str, Any]], *, as_json: bool, where: str) -> int:
    """Print what was found, as it comes, and return the exit code."""
    num_images = num_people = num_failed = 0
    for result in results:
        num_images += result["error"] is None
        num_failed += result["error"] is not None
        num_people += len(result["people"])
        if as_json:
            print_json(result)
        elif result["error"]:
            print(f"skipped: {result['error']}", file=sys.stderr)
    if not as_json:
        print(f"{num_people} people in {num_images} images{where}")
    return EXIT_FAILURE if num_failed else 0


COMMAND = Command("find the people in images", _EXAMPLES, _add_arguments, _run, _NOTES)
