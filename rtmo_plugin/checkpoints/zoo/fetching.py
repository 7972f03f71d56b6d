"""Get a file of weights: from the cache, else from the first place that has the right one."""

from __future__ import annotations

import lzma
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from rtmo_plugin.checkpoints.zoo.cache import check_hash, describe_hash_mismatch, locate
from rtmo_plugin.checkpoints.zoo.catalogue import CATALOGUE, ONNX, Weights
from rtmo_plugin.checkpoints.zoo.mirrors import VARIABLE, list_urls
from rtmo_plugin.checkpoints.zoo.resumable_download import TIMEOUT_S, DownloadError, ResumableDownload, show_percentage
from rtmo_plugin.errors import CheckpointError, MissingFileError, UserError
from rtmo_plugin.files import compute_hash

_CHUNK_BYTES = 1 << 20
_MAX_MODEL_BYTES = 1_000_000_000  # five times the largest RTMO
# KeyError: an entry that is not where the index says; RuntimeError: a password; ValueError: places before the start.
_DAMAGE = (
    BadZipFile, EOFError, KeyError, NotImplementedError, OSError, RuntimeError, ValueError, struct.error, zlib.error,
    lzma.LZMAError,
)  # fmt: skip


def is_url(name: str) -> bool:
    """Whether ``name`` is a web address rather than a path."""
    return name.startswith(("http://", "https://"))


def fetch(weights: Weights, *, folder: Path | None = None, alternative: str = "", timeout_s: float = TIMEOUT_S) -> Path:
    """Return the local file of ``weights``, downloading it at the first call.

    A file that is there is checked every time.  Several processes may ask for the same file: one
    downloads it, and the others wait.

    Args:
        weights: Weights to fetch.
        folder: Folder of the file. Default: torch's cache.
        alternative: End of the message when no source has the file: another thing that the user can do.
        timeout_s: Seconds in which 64 KiB must arrive; otherwise the attempt ends.

    Raises:
        MissingFileError: No place has the right file; the message says where it can be put.
        CheckpointError: The file that is there is not the published one.
        ConfigError: The user's list of mirrors is wrong.
    """
    from filelock import FileLock  # slow to import, and every command that takes a model imports this module

    path = locate(weights, folder)
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if not path.is_file():  # another process may have brought it meanwhile
                    _bring(weights, path, alternative, timeout_s)
        except UserError:
            raise
        except OSError as error:
            raise MissingFileError(f"{path} cannot be written: {error.strerror or error}.") from error
    else:
        check_hash(path, weights)
    return path


def _bring(weights: Weights, path: Path, alternative: str, timeout_s: float) -> None:
    """Download ``weights`` to ``path``; an error leaves at most a partial file, which the next call continues."""
    file = path.with_name(weights.file)
    if weights.is_archive and file.is_file():  # an archive that was put there by hand
        fault = _accept(file, path, weights)
        if fault:
            raise CheckpointError(f"{file} cannot be used: {fault}: replace or delete it.")
        return
    failures = _try_sources(weights, path, timeout_s)
    if failures:
        reasons = [reason if url == weights.name else f"{url}: {reason}" for url, reason in failures.items()]
        mirrors = f", or name a mirror in {VARIABLE}" if weights.name in CATALOGUE else ""
        archive = f" (or the archive, as {weights.file}, beside it)" if weights.is_archive else ""
        others = [name for name in CATALOGUE if weights.kind == ONNX and name.startswith(f"{weights.name}-")]
        other = f", or use {others[0]}, another export of the same checkpoint" if others else ""
        raise MissingFileError(
            f"{weights.name} cannot be downloaded ({'; '.join(reasons)}): put the file at {path}{archive}{mirrors}"
            f"{other}{alternative}."
        )


def _try_sources(weights: Weights, path: Path, timeout_s: float) -> dict[str, str]:
    """Download from the first source that has the right file, and return why each failed if all do."""
    failures: dict[str, str] = {}
    for url in list_urls(weights):
        try:
            _download(url, weights, path, timeout_s)
            return {}
        except DownloadError as error:
            failures[url] = str(error)
    return failures


def _download(url: str, weights: Weights, path: Path, timeout_s: float) -> None:
    """Download ``url`` and make ``path`` of it, which appears only when it is whole and its hash is right.

    Raises:
        DownloadError: That cannot be; what has arrived stays for another attempt, unless it is wrong.
    """
    part = path.with_name(f"{weights.file}.part")
    is_checked = weights.sha256 is not None
    download = ResumableDownload(url, part, timeout_s=timeout_s, is_checked=is_checked, show=show_percentage)
    had_part = part.is_file()
    print(f"downloading {url} to {path}", file=sys.stderr)
    download.run()
    fault = _accept(part, path, weights)
    if fault and had_part:  # the part may have been the wrong one: once more, from the beginning
        part.unlink()
        download.run()
        fault = _accept(part, path, weights)
    if fault:
        part.unlink()
        raise DownloadError(fault)
    if not is_checked:
        print(f"its SHA-256 is {compute_hash(path)}; no published one is known to compare with", file=sys.stderr)


def _accept(file: Path, path: Path, weights: Weights) -> str | None:
    """Make ``path`` of a file, or of the model in it, if it is right; else say what is wrong, and leave it."""
    if not weights.is_archive:
        fault = describe_hash_mismatch(file, weights.sha256)
        if not fault:
            file.replace(path)
        return fault
    model = path.with_name(f"{path.name}.part")
    fault = _extract_model(file, model) or describe_hash_mismatch(model, weights.sha256)
    if fault:
        model.unlink(missing_ok=True)
    else:
        model.replace(path)
        file.unlink()
    return fault


def _extract_model(archive: Path, model: Path) -> str | None:
    """Take the model out of an archive; say why if it is damaged, or does not hold exactly one.

    Raises:
        OSError: The model cannot be written.
    """
    try:
        with model.open("wb") as file:
            for chunk in _read_model(archive):
                file.write(chunk)
    except _DamagedArchiveError as error:
        return str(error)
    return None


def _read_model(archive: Path) -> Iterator[bytes]:
    """Yield the one model in an archive, piece by piece.

    Raises:
        _DamagedArchiveError: It is damaged in one of the many ways that zipfile and its decoders report, encrypted,
            without exactly one model, or the model is larger than any RTMO.
    """
    size = 0
    try:
        with ZipFile(archive) as opened:
            models = [name for name in opened.namelist() if name.endswith(".onnx")]
            if len(models) != 1:
                raise _DamagedArchiveError(f"it holds {len(models)} ONNX models, and not one")
            with opened.open(models[0]) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    size += len(chunk)
                    if size > _MAX_MODEL_BYTES:
                        raise _DamagedArchiveError(f"its model has more than {_MAX_MODEL_BYTES / 1e9:.0f} GB")
                    yield chunk
    except _DAMAGE as error:
        raise _DamagedArchiveError(f"it is not a whole archive ({error or type(error).__name__})") from error


class _DamagedArchiveError(Exception):
    """An archive that no model can be taken from; the message says why."""
