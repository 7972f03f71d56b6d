"""Backbone weights that a config asks for: drop the request, or make sure the file is there.

MMEngine loads them while it initializes the model: from a path, or from a URL by way of torch's
cache.  It never gets to download anything, because the file is in that cache by then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.checkpoints.zoo import CATALOGUE, describe_url, fetch, is_url
from rtmo_plugin.config.sections import is_pretrained, walk_sections
from rtmo_plugin.errors import MissingFileError

_ALTERNATIVE = ", or pass --from-scratch to begin with random weights"


def drop_pretrained(cfg: Config) -> None:
    """Remove every request for pretrained weights from the model of ``cfg``."""
    cfg.model = _drop(cfg.model)


def _drop(section: Any) -> Any:
    if isinstance(section, list):
        return [_drop(entry) for entry in section if not is_pretrained(entry)]
    if not isinstance(section, dict):
        return section
    return type(section)({key: _drop(value) for key, value in section.items() if not is_pretrained(value)})


def fetch_pretrained(cfg: Config) -> None:
    """Download the pretrained weights of ``cfg`` if they are missing, and check them before anything slow is built.

    A name such as ``yolox-s`` in ``cfg`` becomes the published address.

    Raises:
        MissingFileError: A file is not there and cannot be downloaded; the message says where it
            can be put.
        CheckpointError: It is not the published file, is not a checkpoint, or could run code.
    """
    for section in filter(is_pretrained, walk_sections(cfg._cfg_dict["model"])):
        given = str(section.get("checkpoint"))
        name = CATALOGUE[given].url if given in CATALOGUE else given
        if is_url(name):  # to where MMEngine will look, which a program may have changed
            folder = Path(torch.hub.get_dir(), "checkpoints")
            read_checkpoint(fetch(describe_url(name), folder=folder, alternative=_ALTERNATIVE))
        elif "://" not in name:  # else for other loaders of MMEngine, such as s3://
            path = Path(name).expanduser()
            if not path.is_file():
                raise MissingFileError(f"The pretrained weights {name} do not exist: put the file there{_ALTERNATIVE}.")
            read_checkpoint(path)
        section["checkpoint"] = name
