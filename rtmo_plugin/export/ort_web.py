"""ONNX Runtime for browsers: the package ``onnxruntime-web``, from a file or the npm registry, and the files of it.

The registry is asked once: the package stays in the cache. Its SHA-512 is the one that the registry has published.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import tarfile
import zlib
from pathlib import Path

from filelock import FileLock

from rtmo_plugin.checkpoints.zoo.resumable_download import TIMEOUT_S, DownloadError, ResumableDownload, show_percentage
from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import check_regular, parse_json, read_bytes
from rtmo_plugin.wording import show_path

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # base64, as npm's
REGISTRY, REGISTRY_VARIABLE = "https://registry.npmjs.org", "npm_config_registry"  # the second is npm's own
# Files of the package, and their names in the exported folder: not all web servers know the type of .mjs.
_PROGRAMS = ("ort.wasm.min", "ort.webgpu.min", "ort-wasm-simd-threaded", "ort-wasm-simd-threaded.asyncify")
RUNTIME_FILES = {
    "package.json": "package.json",
    **{f"dist/{name}.mjs": f"{name}.js" for name in _PROGRAMS},
    **{f"dist/{name}.wasm": f"{name}.wasm" for name in _PROGRAMS[2:]},
}
_MAX_BYTES = 10**8  # of one file
_MAX_ARCHIVE_BYTES = 3 * 10**8


def read_ort_web(path: Path | None) -> dict[str, bytes]:
    """Return the contents of ``RUNTIME_FILES``, by their names in the exported folder.

    Args:
        path: The package as npm packs it (.tgz), or its folder. Default: version ``VERSION`` from the cache, else from
            the npm registry.

    Raises:
        MissingFileError: The package does not exist, or cannot be downloaded.
        DataError: It is another package, or lacks a file.
    """
    package = path or fetch_ort_web()
    if package.is_dir():
        found = {name: read_bytes(package / name, _MAX_BYTES) for name in RUNTIME_FILES if (package / name).is_file()}
    else:
        found = _read_archive(package)
    missing = [name for name in RUNTIME_FILES if name not in found]
    if missing:
        raise DataError(
            f"{package} has no {missing[0]}: it is not {PACKAGE}, or a version unlike {VERSION}, which fits."
        )
    about = parse_json(found["package.json"].decode("utf-8", "replace"), f"package.json of {package}")
    if not isinstance(about, dict) or about.get("name") != PACKAGE:
        raise DataError(f"{package} is not the npm package {PACKAGE}.")
    return {RUNTIME_FILES[name]: content for name, content in found.items()}


def fetch_ort_web() -> Path:
    """Return the package in the cache, below ``XDG_CACHE_HOME`` or ``~/.cache``, downloaded at the first call.

    Raises:
        MissingFileError: It cannot be downloaded.
        DataError: The package in the cache is damaged.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    path = caches / "rtmo_plugin" / f"{PACKAGE}-{VERSION}.tgz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):  # another process may be downloading it
            if not path.is_file():
                _download(path)
    except OSError as error:
        if isinstance(error, MissingFileError):
            raise
        raise MissingFileError(f"{path} cannot be written: {error.strerror or error}.") from error
    if _compute_sha512(path) != SHA512:
        raise DataError(f"{path} is not {PACKAGE} {VERSION} as published: delete it, and it is downloaded again.")
    return path


def _download(path: Path) -> None:
    registry = os.environ.get(REGISTRY_VARIABLE) or os.environ.get(REGISTRY_VARIABLE.upper()) or REGISTRY
    url = f"{registry.rstrip('/')}/{PACKAGE}/-/{PACKAGE}-{VERSION}.tgz"
    part = path.with_name(f"{path.name}.part")
    print(f"downloading {url} to {show_path(path)}", file=sys.stderr)
    try:
        ResumableDownload(url, part, timeout_s=TIMEOUT_S, is_checked=True, show=show_percentage).run()
        if _compute_sha512(part) != SHA512:
            part.unlink()
            raise DownloadError("its SHA-512 is not the published one")
    except DownloadError as error:
        raise MissingFileError(
            f"{PACKAGE} {VERSION}, which runs the model in browsers, cannot be downloaded ({url}: {error}): run "
            f"`npm pack {PACKAGE}@{VERSION}` elsewhere and name its file with --ort-web, or name another registry in "
            f"{REGISTRY_VARIABLE}."
        ) from error
    part.replace(path)


def _compute_sha512(path: Path) -> str:
    return base64.b64encode(hashlib.sha512(read_bytes(path, _MAX_ARCHIVE_BYTES)).digest()).decode()


def _read_archive(path: Path) -> dict[str, bytes]:
    """Return those of ``RUNTIME_FILES`` that an archive has."""
    check_regular(path)
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.partition("/")[2]  # below package/
                if name in RUNTIME_FILES and member.isfile() and member.size <= _MAX_BYTES:
                    opened = archive.extractfile(member)
                    assert opened is not None  # a regular file
                    found[name] = opened.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is not a package of npm (.tgz), or damaged: {error}.") from error
    return found
