"""``rtmo info``: what an exported file, a checkpoint or a config is, and what is installed here."""

from __future__ import annotations

import argparse
import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rtmo_plugin import __version__
from rtmo_plugin.cli.arguments import add_json_argument
from rtmo_plugin.cli.command import Command
from rtmo_plugin.cli.output import keep_stdout_for_json, print_json
from rtmo_plugin.errors import escape_control_characters

_PACKAGES = (
    "numpy", "opencv-python", "onnxruntime", "openvino", "torch", "mmengine", "mmcv", "mmcv-lite", "mmdet", "mmpose",
)  # fmt: skip
_EXAMPLES = (
    "{command}                  # versions, for a report of a defect",
    "{command} rtmo-s.onnx      # an exported file: classes, keypoints, input, thresholds",
    "{command} rtmo-s.onnx --operators    # what a converter for a device must know",
    "{command} mine.pth         # a checkpoint: what it was trained as, and how far",
    "{command} rtmo-s_coco      # a config: its parts, its data, its schedule",
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        help="exported file, checkpoint or config to describe: a file or a name (default: the installed packages)",
    )
    parser.add_argument(
        "--operators",
        action="store_true",
        help="list the operators of an exported file (.onnx, .xml, .param, .tflite, .pte), each with its count",
    )
    add_json_argument(parser, "the description")


def _run(*, what: str | None, operators: bool, as_json: bool) -> None:
    with keep_stdout_for_json(as_json):
        values = _describe(what) if what else _describe_stack()
        counts = _count_operators(what) if operators else {}
    if as_json:
        print_json({**values, **({"operators": counts} if operators else {})})
        return
    if operators:
        values = {**counts, "total": sum(counts.values())}
    shown = {name: _format(value) for name, value in values.items() if value not in (None, ())}
    width = max(map(len, shown))
    for name, value in shown.items():
        print(f"{name:<{width}}  {escape_control_characters(value)}")


def _describe(what: str) -> dict[str, Any]:
    """Return what a file or a name is; a name that configs and published weights share is a config's."""
    from rtmo_plugin.checkpoints.model_names import ModelKind, find_kind_of_model
    from rtmo_plugin.checkpoints.zoo import CATALOGUE, is_url
    from rtmo_plugin.errors import ConfigError, MissingFileError
    from rtmo_plugin.shipped_configs import list_configs

    is_config = what in list_configs() and not Path(what).exists()
    kind = ModelKind.CONFIG if is_config else find_kind_of_model(what)
    if kind is ModelKind.EXPORTED:
        return _describe_file(what)
    if kind is ModelKind.RESULTS:
        raise ConfigError(f"{what} is {kind.value}: `rtmo eval CONFIG {what}` evaluates it.")
    if not all(map(find_spec, ("torch", "mmengine"))):
        if is_config:
            return _describe_shipped(what)
        if not (Path(what).expanduser().exists() or what in CATALOGUE or is_url(what)):
            raise MissingFileError(f"The {kind.value.split(maxsplit=1)[1]} file {what} does not exist.")
    from rtmo_plugin.config.describing import describe_checkpoint, describe_config

    return describe_config(what) if kind is ModelKind.CONFIG else describe_checkpoint(what)


def _count_operators(what: str | None) -> dict[str, int]:
    """Return the operators of an exported file with their counts.

    Raises:
        UserError: It is not an exported file, or its format is not known.
    """
    from rtmo_plugin.checkpoints.model_names import is_exported, locate_exported
    from rtmo_plugin.errors import ConfigError
    from rtmo_plugin.runtime.operators import count_operators

    if what is None or not is_exported(what):
        raise ConfigError("--operators is for an exported file: rtmo info FILE --operators.")
    return count_operators(locate_exported(what))


def _describe_shipped(name: str) -> dict[str, Any]:
    """Return what is known of a shipped config and its weights without the packages that read a config."""
    from rtmo_plugin.checkpoints.zoo import CATALOGUE, locate
    from rtmo_plugin.errors import write_install_line
    from rtmo_plugin.shipped_configs import locate_config

    values: dict[str, Any] = {"config": str(locate_config(name))}
    if name in CATALOGUE:
        weights = CATALOGUE[name]
        published = {"published_ap": f"{weights.ap} on {weights.ap_on}", "published_weights": weights.url}
        values |= {**published, "weights_are_here": locate(weights).is_file()}
    return {**values, "more": f"parts, data and schedule, after {write_install_line('train')}"}


def _describe_file(file: str) -> dict[str, Any]:
    from rtmo_plugin.checkpoints.model_names import locate_exported

    values = asdict(_read_info(locate_exported(file)))
    schema = values.pop("schema")
    return {**values, **{f"keypoint_{name}": value for name, value in schema.items()}}


def _read_info(path: Path) -> Any:
    """Return the metadata of an exported file; a runtime opens it only if the metadata cannot be read without."""
    from rtmo_plugin.runtime.engines import RUNTIMES, appended_metadata, open_engine, torch_archive
    from rtmo_plugin.runtime.engines.engine import read_strings_beside
    from rtmo_plugin.runtime.model_info import ModelInfo

    suffix = path.suffix.lower() if os.path.isfile(path) else None
    if suffix in torch_archive.SUFFIXES:
        return torch_archive.TorchArchive.read(path).info
    if suffix in RUNTIMES["engine"][1]:
        return ModelInfo.from_strings(read_strings_beside(path), str(path))
    if suffix in appended_metadata.KINDS:
        return appended_metadata.read_model_info(path)
    return open_engine(path).info


def _describe_stack() -> dict[str, Any]:
    versions = {"rtmo_plugin": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _format(value: Any) -> str:
    """Return a value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join("-".join(map(str, each)) if isinstance(each, (tuple, list)) else str(each) for each in value)
    return str(value) or "unknown"


COMMAND = Command(
    "describe a model file, a checkpoint or a config, or list the installed packages", _EXAMPLES, _add_arguments, _run
)
