"""Get a file of weights: from the cache, else from the first place that has the right one."""

from __future__ import annotations

import sys
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from filelock import FileLock

from rtmo_plugin.errors import MissingFileError, UserError
from rtmo_plugin.zoo.cache import check_file, compute_hash, describe_difference, locate
from rtmo_plugin.zoo.catalogue import CATALOGUE, ONNX, Weights
from rtmo_plugin.zoo.mirrors import VARIABLE, list_sources
from rtmo_plugin.zoo.transfer import TIMEOUT_S, Transfer, TransferError, show_percentage


def is_url(name: str) -> bool:
    """Whether ``name`` is a web address rather than a path."""
    return name.startswith(("http://", "https://"))


def fetch(weights: Weights, *, folder: Path | None = None, alternative: str = "", timeout_s: float = TIMEOUT_S) -> Path:
    """Return the local file of ``weights``, downloading it at the first call.

    A file that is there is checked every time.  Several processes may ask for the same file: one
    downloads it, and the others wait.

    Args:
        weights: What to get.
        folder: Where files are kept; None for torch's cache.
        alternative: What else the user can do, for the message.
        timeout_s: An attempt ends when nothing comes in this many seconds.

    Raises:
        MissingFileError: No place has the right file; the message says where it can be put.
        CheckpointError: The file that is there is not the published one.
        ConfigError: The user's list of mirrors is wrong.
    """
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
    elif weights.kind != ONNX:  # of an archive, not of the model in it, the hash may be known
        check_file(path, weights)
    return path


def _bring(weights: Weights, path: Path, alternative: str, timeout_s: float) -> None:
    """Download ``weights`` and make ``path`` of them, or raise and leave at most a part to go on with."""
    file = path.with_name(weights.file)
    if file.is_file():  # an archive that was put there by hand
        check_file(file, weights)
    else:
        failures = _try_sources(weights, file, timeout_s)
        if failures:
            raise MissingFileError(_explain_failures(weights, file, failures, alternative))
    if weights.kind == ONNX:
        _extract_model(file, path)


def _try_sources(weights: Weights, file: Path, timeout_s: float) -> dict[str, str]:
    """Download from the first source that has the right file, and return why each failed if all do."""
    failures: dict[str, str] = {}
    for url in list_sources(weights):
        try:
            _download(url, file, weights.sha256, timeout_s)
            return {}
        except TransferError as error:
            failures[url] = str(error)
    return failures


def _download(url: str, file: Path, sha256: str | None, timeout_s: float) -> None:
    """Download ``url`` to ``file``, which appears only when it is whole and its hash is right.

    Raises:
        TransferError: That cannot be; what has arrived stays for another attempt, unless it is wrong.
    """
    part = file.with_name(f"{file.name}.part")
    transfer = Transfer(url, part, timeout_s=timeout_s, is_checked=sha256 is not None, show=show_percentage)
    had_part = part.is_file()
    print(f"downloading {url} to {file}", file=sys.stderr)
    transfer.run()
    difference = describe_difference(part, sha256)
    if difference and had_part:  # the part may have been the wrong one: once more, from the beginning
        part.unlink()
        transfer.run()
        difference = describe_difference(part, sha256)
    if difference:
        part.unlink()
        raise TransferError(difference)
    part.replace(file)
    if sha256 is None:
        print(f"its SHA-256 is {compute_hash(file)}; no published one is known to compare with", file=sys.stderr)


def _explain_failures(weights: Weights, file: Path, failures: dict[str, str], alternative: str) -> str:
    reasons = [reason if url == weights.name else f"{url}: {reason}" for url, reason in failures.items()]
    mirrors = f", or name a mirror in {VARIABLE}" if weights.name in CATALOGUE else ""
    return f"{weights.name} cannot be downloaded ({'; '.join(reasons)}): put the file at {file}{mirrors}{alternative}."


def _extract_model(archive: Path, path: Path) -> None:
    """Take the model out of an archive, which is then no longer needed.

    Raises:
        MissingFileError: The archive is damaged, or does not hold exactly one model.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with ZipFile(archive) as opened:
            models = [name for name in opened.namelist() if name.endswith(".onnx")]
            if len(models) != 1:
                raise MissingFileError(f"{archive} holds {len(models)} ONNX models, and not one: replace or delete it.")
            part.write_bytes(opened.read(models[0]))
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise MissingFileError(f"{archive} is not a whole archive ({error}): replace or delete it.") from error
    part.replace(path)
    archive.unlink()
