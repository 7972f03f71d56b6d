"""Trust in files that hold code: those that this user exported here or trusted once may be opened.

Files are listed by their SHA-256, one per line, in ``rtmo_plugin/trusted.txt`` in the user's folder for state.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from rtmo_plugin.errors import ConfigError


def locate_list() -> Path:
    """Return the path of the list: below ``XDG_STATE_HOME``, by default ``~/.local/state``."""
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state", "rtmo_plugin", "trusted.txt").expanduser()


def is_trusted(content: bytes) -> bool:
    """Return whether the content of a file was trusted before."""
    return hashlib.sha256(content).hexdigest() in _read_list()


def trust(content: bytes, path: Path) -> None:
    """Add the content of a file to the list, so that it is opened from now on; print a note if the list is read-only.

    Args:
        content: Content of the file.
        path: Path of the file, noted beside the hash for human readers.
    """
    known, digest = locate_list(), hashlib.sha256(content).hexdigest()
    if digest in _read_list():
        return
    try:
        known.parent.mkdir(parents=True, exist_ok=True)
        with known.open("a", encoding="utf-8") as file:
            file.write(f"{digest}  {path.name!r}\n")
    except OSError as error:
        print(
            f"{known} cannot be written ({error.strerror}), so {path} has to be opened with --trust each time",
            file=sys.stderr,
        )


def check_trusted(content: bytes, path: Path, program: str, *, is_trusted_now: bool) -> None:
    """Check that the code in a file may run.

    Args:
        content: Content of the file.
        path: Path of the file.
        program: Name of the program that runs the code.
        is_trusted_now: Whether the user trusts the file; it is then remembered.

    Raises:
        ConfigError: The file is not trusted and was not exported here.
    """
    if is_trusted_now:
        trust(content, path)
    elif not is_trusted(content):
        raise ConfigError(
            f"{path} holds code that runs when {program} opens it, and was not exported by you on this machine: "
            "if you trust where it comes from, say so once with --trust (rtmo predict, track, serve, eval, "
            "analyze) or Pose(..., trust=True); files that end with .onnx or .xml need no trust."
        )


def _read_list() -> set[str]:
    """Return the hashes in the list; a list that cannot be read trusts nothing."""
    try:
        lines = locate_list().read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {line.partition(" ")[0] for line in lines}
