"""Other places that have the published files: the user's list, tried before the publisher's host, and one after it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlparse

from rtmo_plugin.checkpoints.zoo.catalogue import CATALOGUE, Weights
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.files import read_text

VARIABLE = "RTMO_MIRRORS"
_MAX_BYTES = 10**6  # of a list
_SCHEMES = ("https://", "http://", "file://")
# rtmlib's own: its author keeps the archives that rtmlib uses there, since the publisher's host was down for days
# (Tau-J/rtmlib, issue 75).  What comes from there is checked like everything else.
_OF_ARCHIVES = "https://huggingface.co/Tau-J/RTMPose/resolve/main/rtmo/onnx_sdk/{file}"


def get_mirrors_file() -> Path:
    """Return the file in which a user may list mirrors for good: below ``XDG_CONFIG_HOME`` or ``~/.config``."""
    configs = os.environ.get("XDG_CONFIG_HOME", "~/.config")
    return Path(configs, "rtmo_plugin", "mirrors.txt").expanduser()


def read_mirrors() -> list[str]:
    """Return the user's mirrors: those of ``RTMO_MIRRORS`` first, then those of the file.

    The variable holds addresses with spaces between them, or names of files that list addresses.

    Raises:
        ConfigError: One is neither an address nor a file, or a file cannot be read.
    """
    mirrors: list[str] = []
    for entry in os.environ.get(VARIABLE, "").split():
        path = Path(entry).expanduser()
        if entry.startswith(_SCHEMES):
            mirrors.append(entry)
        elif path.is_file():
            mirrors += _read_file(path)
        else:
            known = ", ".join(_SCHEMES)
            raise ConfigError(f"{VARIABLE}: {entry} is neither an address ({known}) nor a file of addresses.")
    own_file = get_mirrors_file()
    return mirrors + (_read_file(own_file) if own_file.is_file() else [])


def _read_file(path: Path) -> list[str]:
    """Return the addresses in a file: one a line, ``#`` begins a comment."""
    try:
        lines = read_text(path, _MAX_BYTES).splitlines()
    except (DataError, MissingFileError) as error:
        raise ConfigError(f"The list of mirrors {path} cannot be read: {error}.") from error
    mirrors = [line.split("#")[0].strip() for line in lines]
    wrong = [mirror for mirror in mirrors if mirror and not mirror.startswith(_SCHEMES)]
    if wrong:
        raise ConfigError(f"{path}: {wrong[0]} is not an address: it begins with none of {', '.join(_SCHEMES)}.")
    return [mirror for mirror in mirrors if mirror]


def list_urls(weights: Weights) -> list[str]:
    """Return the addresses to try for ``weights``, in order: the user's mirrors, the publisher's host, ours.

    In a mirror's address ``{file}`` stands for the name of the file, and ``{path}`` for its whole
    path on the publisher's host; without either the name is appended.  Mirrors are asked for what
    the catalogue lists, not for addresses of the user's own.

    Raises:
        ConfigError: The list of mirrors is wrong.

    Examples:
        >>> list_urls(Weights("mine", "https://example.org/mine.pth"))
        ['https://example.org/mine.pth']
    """
    if weights.name not in CATALOGUE:
        return [weights.url]
    mirrors = [_resolve(mirror, weights) for mirror in read_mirrors()]
    built_in = [_resolve(_OF_ARCHIVES, weights)] if weights.is_archive else []
    return [*mirrors, weights.url, *built_in]


def _resolve(mirror: str, weights: Weights) -> str:
    template = mirror if "{file}" in mirror or "{path}" in mirror else f"{mirror.rstrip('/')}/{{file}}"
    path = urlparse(weights.url).path.lstrip("/")
    return template.replace("{file}", weights.file).replace("{path}", path)
