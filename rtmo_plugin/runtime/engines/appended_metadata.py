"""LiteRT and ExecuTorch files (.tflite, .pte): a model, and behind it a ZIP archive with its metadata.

Both runtimes ignore what follows the model, and ``unzip -p model.tflite metadata.json`` prints the metadata. Neither
runtime notices changed weights, so the metadata hold the SHA-256 of the model.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import compute_hash, read_bytes
from rtmo_plugin.runtime.model_info import ModelInfo

_ENTRY = "metadata.json"
_DIGEST = "content_sha256"  # name of the SHA-256 among the metadata
# By suffix: the runtime, and the identifiers behind the first four bytes; ExecuTorch's header has one as well.
KINDS = {".tflite": ("LiteRT", b"TFL3"), ".pte": ("ExecuTorch", b"ET12eh00")}
_IDENTIFIER_BEGIN = 4
_MAX_BYTES = 4 * 1024**2
_MAX_FILE_BYTES = 4 * 1024**3


def append_metadata(path: Path, strings: Mapping[str, str]) -> None:
    """Append metadata to a file that has none, with the SHA-256 of its content."""
    text = json.dumps({**strings, _DIGEST: compute_hash(path)}, indent=1)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_ENTRY, text + "\n")


def read_model(path: Path) -> tuple[bytes, dict[str, str]]:
    """Return the content of a file and its metadata, after a check that it is the file that was written.

    Args:
        path: Path of a ``.tflite`` or ``.pte`` file.

    Raises:
        MissingFileError: The file does not exist.
        DataError: The file is of another kind, has no metadata of ``rtmo export``, or is damaged.
    """
    runtime, identifier = KINDS[path.suffix.lower()]
    content = read_bytes(path, _MAX_FILE_BYTES)
    if not content.startswith(identifier, _IDENTIFIER_BEGIN):
        raise DataError(f"{path} cannot be read as a model of {runtime}: it does not begin as such a file.")
    strings, end = _read_archive(content, path)
    if _DIGEST not in strings:
        raise DataError(f"{path} has metadata without the SHA-256 of its content: export it again.")
    if strings[_DIGEST] != hashlib.sha256(memoryview(content)[:end]).hexdigest():
        raise DataError(f"{path} is damaged: the SHA-256 of its content is not that of its metadata.")
    return content, strings


def read_model_info(path: Path) -> ModelInfo:
    """Return the metadata of a file without its runtime, see ``read_model`` for errors."""
    strings = read_model(path)[1]
    if not ModelInfo.is_in(strings):
        raise DataError(f"{path} is not an RTMO model: it has no metadata of `rtmo export`.")
    return ModelInfo.from_strings(strings, str(path))


def _read_archive(content: bytes, path: Path) -> tuple[dict[str, str], int]:
    """Return the metadata of a file, and the number of bytes before them.

    Raises:
        DataError: The metadata is missing, damaged or too large.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entry = archive.getinfo(_ENTRY)
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"{path} is not an RTMO model, or its end is missing: it has no metadata of `rtmo export`."
        ) from error
    strings: Any = None
    try:
        if entry.compress_type != zipfile.ZIP_DEFLATED:
            raise ValueError(f"compression {entry.compress_type}")
        with archive, archive.open(entry) as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) <= _MAX_BYTES:
            strings = json.loads(text)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise DataError(f"{path} has metadata that cannot be read: they are damaged ({error}).") from error
    if not isinstance(strings, dict) or not all(isinstance(each, str) for each in strings.values()):
        raise DataError(f"{path} has metadata that are not an object of strings of at most {_MAX_BYTES} bytes.")
    return strings, entry.header_offset
