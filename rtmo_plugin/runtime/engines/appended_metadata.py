"""Metadata of LiteRT and ExecuTorch files (.tflite, .pte), in a ZIP archive behind the model, as in TensorFlow Lite.

Both runtimes ignore what follows the model, and ``unzip -p model.tflite metadata.json`` prints the metadata.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from rtmo_plugin.errors import DataError

_ENTRY = "metadata.json"
_MAX_BYTES = 4 * 1024**2


def append_metadata(path: Path, strings: Mapping[str, str]) -> None:
    """Append metadata to a file that has none."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_ENTRY, json.dumps(dict(strings), indent=1) + "\n")


def read_metadata(content: bytes, path: Path) -> dict[str, str]:
    """Return the metadata of a file; empty for a file without.

    Args:
        content: Content of the file.
        path: Path of the file, for the message.

    Raises:
        DataError: The metadata are damaged or too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if _ENTRY not in archive.namelist():
                return {}
            with archive.open(_ENTRY) as file:
                text = file.read(_MAX_BYTES + 1)
        strings = json.loads(text) if len(text) <= _MAX_BYTES else None
    except zipfile.BadZipFile:
        return {}
    except (zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DataError(f"{path} has metadata that cannot be read: they are damaged ({error}).") from error
    if not isinstance(strings, dict) or not all(isinstance(each, str) for each in strings.values()):
        raise DataError(f"{path} has metadata that are not an object of strings of at most {_MAX_BYTES} bytes.")
    return strings
