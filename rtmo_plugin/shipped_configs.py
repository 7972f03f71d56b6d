"""Configs by name, wherever the package is installed.

``configs/`` at the top of a clone is the only copy; ``rtmo_plugin/_configs`` is a link to it, and in
a wheel the files themselves.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from rtmo_plugin.errors import MissingFileError

FOLDER = Path(__file__).parent / "_configs"


def list_configs() -> list[str]:
    """Return the names of the shipped configs, such as ``rtmo-s_coco``."""
    return sorted(path.stem for path in FOLDER.glob("*.py"))


def locate_config(config: str | Path) -> Path:
    """Return the file of a config.

    Args:
        config: File, or name of a shipped config. A file of that name comes first.

    Raises:
        MissingFileError: Neither exists; the message has the nearest name or file.
    """
    path = Path(config)
    if path.is_file():
        return path
    if path.name != str(config) or path.suffix:
        near = get_close_matches(str(path), [str(entry) for entry in path.parent.glob("*.py")], n=1)
        advice = f": the shipped one is {path.stem}." if path.stem in list_configs() else "."
        if near:
            advice = f": did you mean {near[0]}?"
        raise MissingFileError(f"The config file {path} does not exist{advice}")
    shipped = FOLDER / f"{path}.py"
    if not shipped.is_file():
        near = get_close_matches(str(path), list_configs(), n=1)
        advice = f": did you mean {near[0]}?" if near else f"; the shipped ones are {', '.join(list_configs())}."
        raise MissingFileError(f"No config is named {path}{advice}")
    return shipped.resolve()
