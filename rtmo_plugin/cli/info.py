"""``rtmo info``: what an exported file says of itself, and what is installed here."""

from __future__ import annotations

import argparse
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rtmo_plugin import __version__
from rtmo_plugin.cli.arguments import add_json_argument
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.output import print_json

_PACKAGES = (
    "numpy", "opencv-python", "onnxruntime", "openvino", "torch", "mmengine", "mmcv", "mmcv-lite", "mmdet", "mmpose",
)  # fmt: skip
_EXAMPLES = (
    "{command}                  # versions, for a report of a defect",
    "{command} rtmo-s.onnx      # classes, keypoints, input, thresholds",
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", help="an exported file; without one, what is installed")
    add_json_argument(parser, "it")


def _run(*, file: str | None, as_json: bool) -> None:
    values = _describe_file(file) if file else _describe_stack()
    if as_json:
        print_json(values)
        return
    width = max(map(len, values))
    for name, value in values.items():
        print(f"{name:<{width}}  {', '.join(map(str, value)) if isinstance(value, tuple) else value}")


def _describe_file(file: str) -> dict[str, Any]:
    from rtmo_plugin.inference.engines import open_engine

    values = asdict(open_engine(file).info)
    schema = values.pop("schema")
    return {**values, **{f"keypoint_{name}": value for name, value in schema.items()}}


def _describe_stack() -> dict[str, Any]:
    return {"rtmo_plugin": __version__, "python": platform.python_version()} | {
        name: _find_version(name) for name in _PACKAGES
    }


def _find_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


COMMAND = Command("say what an exported file is, or what is installed here", _EXAMPLES, _add_arguments, _run)
