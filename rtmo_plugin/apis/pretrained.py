"""Backbone weights that a config asks for: drop the request, or make sure the file is there."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.apis.configuration import walk_sections
from rtmo_plugin.apis.downloads import fetch, is_url
from rtmo_plugin.errors import MissingFileError

_ALTERNATIVE = ", or pass --from-scratch to begin with random weights"


def drop_pretrained(cfg: Config) -> Config:
    """Return a copy of ``cfg`` in which no part of the model asks for pretrained weights."""
    changed = copy.deepcopy(cfg)
    changed.model = _drop(changed.model)
    return changed


def _drop(section: Any) -> Any:
    if isinstance(section, list):
        return [_drop(entry) for entry in section if not _is_pretrained(entry)]
    if not isinstance(section, dict):
        return section
    return type(section)({key: _drop(value) for key, value in section.items() if not _is_pretrained(value)})


def _is_pretrained(section: Any) -> bool:
    return isinstance(section, dict) and section.get("type") in ("Pretrained", "PretrainedInit")


def fetch_pretrained(cfg: Config) -> None:
    """Download the pretrained weights of ``cfg`` now, before anything slow is built.

    Raises:
        MissingFileError: A file is not there and cannot be downloaded; the message says where it
            can be put.
    """
    for section in filter(_is_pretrained, walk_sections(cfg.model)):
        name = str(section.get("checkpoint"))
        if is_url(name):
            fetch(name, _ALTERNATIVE)
        elif "://" not in name and not Path(name).expanduser().is_file():
            raise MissingFileError(f"The pretrained weights {name} do not exist: put the file there{_ALTERNATIVE}.")
