"""Metadata of PyTorch's own files (.pt and .pt2), read without PyTorch, which would run code that they hold.

All kinds are ZIP archives with the metadata as entries of their own. Exported programs and the packages of AOTInductor
both end with .pt2, and are told apart by their entries.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import read_bytes
from rtmo_plugin.runtime.model_info import OUTPUT_NAMES, ModelInfo
from rtmo_plugin.runtime.trusted_files import check_trusted

SUFFIXES = (".pt", ".pt2")
_FOLDERS = ("extra", "extra_files")  # in the archives of TorchScript and AOTInductor, and of exported programs
_COMPILED = "data/aotinductor/"  # folder of machine code
_MAX_ENTRIES = 100_000
_MAX_BYTES = 4 * 1024**2  # of one value
_MAX_FILE_BYTES = 4 * 1024**3


@dataclass(frozen=True)
class TorchArchive:
    """A file of PyTorch that was read and not run.

    Attributes:
        path: Path of the file.
        content: Content of the file.
        info: Metadata of the file.
        output_names: Names of its outputs, in order.
        is_compiled: Whether it holds machine code of AOTInductor.
    """

    path: Path
    content: bytes
    info: ModelInfo
    output_names: tuple[str, ...]
    is_compiled: bool

    @classmethod
    def read(cls, path: Path) -> TorchArchive:
        """Read a file and its metadata.

        Raises:
            MissingFileError: The file does not exist.
            DataError: The file cannot be read, or has no metadata of ``rtmo export``.
        """
        content = read_bytes(path, _MAX_FILE_BYTES)
        try:
            strings, is_compiled = _read_strings(content)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise DataError(
                f"{path} cannot be read as a file of PyTorch: it is damaged or of another kind ({error})."
            ) from error
        if not ModelInfo.is_in(strings) or OUTPUT_NAMES not in strings:
            raise DataError(f"{path} is not an RTMO model: it has no metadata of `rtmo export`.")
        names = tuple(strings[OUTPUT_NAMES].split(","))
        return cls(path, content, ModelInfo.from_strings(strings, str(path)), names, is_compiled)

    def check_trusted(self, *, is_trusted_now: bool) -> None:
        """Check that the code in the file may run.

        Args:
            is_trusted_now: Whether the user trusts the file; it is then remembered.

        Raises:
            ConfigError: The file is not trusted and was not exported here.
        """
        check_trusted(self.content, self.path, "PyTorch", is_trusted_now=is_trusted_now)


def _read_strings(content: bytes) -> tuple[dict[str, str], bool]:
    """Return the entries of an archive that hold metadata, by name, and whether others hold machine code."""
    strings = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if len(entries) > _MAX_ENTRIES:
            raise ValueError(f"{len(entries)} entries")
        for entry in entries:
            folder, _, name = entry.filename.rpartition("/")
            if folder.rpartition("/")[2] in _FOLDERS and folder.count("/") <= 1:
                if entry.file_size > _MAX_BYTES:
                    raise ValueError(f"metadata of {entry.file_size} bytes")
                with archive.open(entry) as file:
                    strings[name] = file.read(_MAX_BYTES).decode(errors="replace")
    return strings, any(_COMPILED in entry.filename for entry in entries)
