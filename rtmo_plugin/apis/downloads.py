"""Files from the web, kept in torch's cache; a failure says where to put the file by hand."""

from __future__ import annotations

import os
import re
import shutil
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlparse
from urllib.request import urlopen

import torch

from rtmo_plugin.errors import MissingFileError

_TIMEOUT_S = 20.0
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})(?:_\d{8})?\.\w+$")  # MMPose's and torch's naming of files


def is_url(name: str) -> bool:
    """Whether ``name`` is a web address rather than a path."""
    return name.startswith(("http://", "https://"))


def locate_in_cache(url: str) -> Path:
    """Return where torch (and MMEngine) look for the file of ``url`` before they download it."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def fetch(url: str, alternative: str = "") -> Path:
    """Return the local file of ``url``, downloading it at the first call.

    Args:
        url: The address.
        alternative: What else the user can do, for the message.

    Raises:
        MissingFileError: The download failed or does not match the hash in its name.
    """
    path = locate_in_cache(url)
    if not path.is_file():
        try:
            _download(url, path)
        except (URLError, HTTPException, OSError, ValueError) as error:
            raise MissingFileError(
                f"{url} cannot be downloaded ({error}): put the file at {path}{alternative}."
            ) from error
    return path


def _download(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    print(f"downloading {url} to {path}")
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as response, part.open("wb") as file:
            shutil.copyfileobj(response, file)
            length = response.headers.get("Content-Length")
        if length is not None and part.stat().st_size != int(length):  # which urllib does not notice
            raise ValueError(f"the connection broke after {part.stat().st_size} of {length} bytes")
        _check_hash(part, path.name)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _check_hash(file: Path, name: str) -> None:
    expected = _HASH_IN_NAME.search(name)
    found = sha256(file.read_bytes()).hexdigest()
    if expected and not found.startswith(expected[1]):
        raise ValueError(f"its SHA-256 begins with {found[:8]}, the name says {expected[1]}")
