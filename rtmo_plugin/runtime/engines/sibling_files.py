"""Files of one export that lie beside each other: their SHA-256 in the metadata tells whether they belong together.

Runtimes do not notice weights of another model: with the same layers they compute nonsense. Files that were exported
before the metadata had these entries open as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import compute_hash

_PREFIX = "sha256"  # of the names among the metadata, before the suffix of a file
_SUFFIXES = (".bin", ".param")


def hash_siblings(*paths: Path) -> dict[str, str]:
    """Return the entries of the metadata for some files.

    Args:
        paths: Files that differ in their suffixes, which are those of OpenVINO or ncnn.
    """
    assert all(path.suffix in _SUFFIXES for path in paths)
    return {f"{_PREFIX}{path.suffix}": compute_hash(path) for path in paths}


def check_siblings(holder: Path, strings: Mapping[str, str]) -> None:
    """Check that the files of a model are those that were exported together.

    Args:
        holder: File with the metadata; the others have its name with other suffixes, and exist.
        strings: Metadata of the model.

    Raises:
        DataError: A file is not the one that its metadata were written with.
    """
    for suffix in _SUFFIXES:
        name, path = f"{_PREFIX}{suffix}", holder.with_suffix(suffix)
        if name in strings and compute_hash(path) != strings[name]:
            raise DataError(
                f"{path} is damaged, or not of the same export as the files of its name beside it: copy all of them "
                f"again (if another program changed it on purpose, remove {name} from {holder})."
            )
