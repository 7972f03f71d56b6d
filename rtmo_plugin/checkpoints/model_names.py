"""What the name of a model stands for: the one place that tells exported files, checkpoints and configs apart.

Neither torch nor OpenMMLab is needed, and nothing in a file runs: at most the list of entries of an archive is read.
"""

from __future__ import annotations

import os
import zipfile
from difflib import get_close_matches
from enum import Enum
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

from rtmo_plugin.checkpoints.zoo import CATALOGUE, ONNX, describe_url, fetch, is_url
from rtmo_plugin.errors import ConfigError, MissingFileError
from rtmo_plugin.media.file_patterns import VIDEO_SUFFIXES
from rtmo_plugin.media.image_headers import SUFFIXES
from rtmo_plugin.runtime.engines import RUNTIMES
from rtmo_plugin.shipped_configs import list_configs

_TORCHSCRIPT = ".pt"  # also how some people name checkpoints
_TORCHSCRIPT_ENTRY = "/constants.pkl"  # which no checkpoint has


class ModelKind(Enum):
    """What a name can stand for; the value is how a message calls it."""

    EXPORTED = "an exported file"
    CHECKPOINT = "a checkpoint"
    CONFIG = "a config"
    RESULTS = "a result file"


def find_kind_of_model(model: str | Path) -> ModelKind:
    """Tell what the name of a model stands for.

    A file or an address is told by how it ends.  Without an ending it is a local file, which is a checkpoint, then
    a published name, then the name of a shipped config.

    Args:
        model: File, address, published name, or name of a shipped config.

    Raises:
        MissingFileError: The name is not known; the message has the nearest one.
        ConfigError: It is an image or a video.

    Examples:
        >>> [find_kind_of_model(name).value for name in ("rtmo-s_body7-onnx", "Mine.ONNX", "mine.pth")]
        ['an exported file', 'an exported file', 'a checkpoint']
    """
    name, path = str(model), Path(model).expanduser()
    if is_url(name):
        is_archive = describe_url(name).kind == ONNX  # published as .zip, with the model inside
        return ModelKind.EXPORTED if is_archive else _judge_by_suffix(PurePosixPath(urlparse(name).path).suffix)
    if path.suffix.lower() in (*SUFFIXES, *VIDEO_SUFFIXES):
        raise ConfigError(f"{name} is an image or a video, not a model: name the model first.")
    if os.path.exists(path) or path.name != name or path.suffix:
        is_tensors = path.suffix.lower() == _TORCHSCRIPT and _is_checkpoint(path)
        return ModelKind.CHECKPOINT if is_tensors else _judge_by_suffix(path.suffix)
    if name in CATALOGUE:
        return ModelKind.EXPORTED if CATALOGUE[name].kind == ONNX else ModelKind.CHECKPOINT
    if name in list_configs():
        return ModelKind.CONFIG
    near = get_close_matches(name, [*CATALOGUE, *list_configs()], n=1, cutoff=0.5)
    hint = f": did you mean {near[0]}?" if near else "; `rtmo zoo list` shows the names of models."
    raise MissingFileError(f"No model or config is named {name}{hint}")


def _judge_by_suffix(suffix: str) -> ModelKind:
    suffix = suffix.lower()
    if any(suffix in suffixes for _, suffixes in RUNTIMES.values()):
        return ModelKind.EXPORTED
    configs = dict.fromkeys((".py", ".yaml", ".yml"), ModelKind.CONFIG)
    return {**configs, ".json": ModelKind.RESULTS}.get(suffix, ModelKind.CHECKPOINT)


def is_exported(model: str | Path) -> bool:
    """Tell whether a model is an exported file, which needs neither torch nor MMPose.

    Raises:
        MissingFileError: The name is not known; the message has the nearest one.
    """
    return find_kind_of_model(model) is ModelKind.EXPORTED


def locate_exported(model: str | Path) -> Path:
    """Return the path of an exported model, after a download if it is an address or a published name.

    Raises:
        MissingFileError: It cannot be downloaded.
    """
    name, path = str(model), Path(model).expanduser()
    if is_url(name):
        return fetch(describe_url(name))
    return fetch(CATALOGUE[name]) if name in CATALOGUE and not os.path.isfile(path) else path


def _is_checkpoint(path: Path) -> bool:
    """Tell whether a ``.pt`` file is an archive of tensors without the code of TorchScript."""
    try:
        with zipfile.ZipFile(path) as archive:
            return not any(name.endswith(_TORCHSCRIPT_ENTRY) for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
