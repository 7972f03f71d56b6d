"""Configs by name, wherever the package is installed.

``configs/`` at the top of a clone is the only copy; ``rtmo_plugin/_configs`` is a link to it, and in
a wheel the files themselves.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from rtmo_plugin.errors import MissingFileError

FOLDER = Path(__file__).parent / "_configs"


def list_names() -> list[str]:
    """Return the names of the shipped configs, such as ``rtmo-s_coco``."""
    return sorted(path.stem for path in FOLDER.glob("*.py"))


def locate_config(config: str | Path) -> Path:
    """Return the file of a config.

    Args:
        config: A file; or the name of a shipped config, unless a file has that name.

    Raises:
        MissingFileError: There is neither; the message has the nearest name or file.
    """
    path = Path(config)
    if path.is_file():
        return path
    if path.name != str(config) or path.suffix:
        raise MissingFileError(f"There is no config file {path}{_suggest_file(path)}")
    shipped = FOLDER / f"{path}.py"
    if not shipped.is_file():
        raise MissingFileError(f"There is no config named {path}{_suggest_name(str(path))}")
    return shipped.resolve()


def _suggest_file(path: Path) -> str:
    """Return the end of a message about a missing file: its neighbour, or the shipped config of its name."""
    near = get_close_matches(str(path), [str(entry) for entry in path.parent.glob("*.py")], n=1)
    if near:
        return f": did you mean {near[0]}?"
    return f": the shipped one is {path.stem}." if path.stem in list_names() else "."


def _suggest_name(name: str) -> str:
    near = get_close_matches(name, list_names(), n=1)
    return f": did you mean {near[0]}?" if near else f"; the shipped ones are {', '.join(list_names())}."
