"""Files that a long run writes at its end: checked before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mmengine

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.files import check_outputs, replace_file
from rtmo_plugin.media.image_files import make_folder

METRIC_FILES = (".json", ".yaml", ".yml", ".pkl", ".pickle")
DUMP_FILES = (".pkl", ".pickle")


def write_metrics(path: str | Path, metrics: Mapping[str, Any]) -> None:
    """Write metrics in the format of the file's suffix, whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    with replace_file(path) as draft:
        mmengine.dump(metrics, str(draft))


def prepare_file(option: str, path: Path, suffixes: tuple[str, ...]) -> None:
    """Check that a file can be written, and make its folder.

    Args:
        option: Option that names the file, for the message.
        path: File to write later.
        suffixes: Allowed endings of its name.

    Raises:
        ConfigError: The name has another ending, or the folder cannot be made.
        OutputError: The file cannot be written.
    """
    if path.suffix not in suffixes:
        raise ConfigError(f"{option} {path}: the file name must end with one of {', '.join(suffixes)}.")
    make_folder(path.parent, f"The folder of {option},")
    check_outputs([path])
