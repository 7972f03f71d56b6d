"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

from pathlib import Path

from rtmo_plugin.errors import OutputError


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file, and its folder if need be; an older one is replaced when all of the new one is there.

    Returns:
        The path.

    Raises:
        OutputError: It cannot be written, for example because the disk is full.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    return path
