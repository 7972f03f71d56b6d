"""Checkpoints in safetensors files: tensors and text, so that nothing in them can run.

The text has the config of the model, its keypoint set and its classes; a file without it, of another program, is a
bare state dict.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from rtmo_plugin import __version__
from rtmo_plugin.errors import CheckpointError, DataError, MissingPackageError, write_install_line
from rtmo_plugin.files import check_regular, parse_json, write_file
from rtmo_plugin.keypoints.metainfo import make_dataset_meta
from rtmo_plugin.runtime.model_info import read_schema
from rtmo_plugin.structures import KeypointSchema

SUFFIX = ".safetensors"
_CONFIG, _KEYPOINTS, _CLASSES, _WRITER = "rtmo_config", "rtmo_keypoints", "rtmo_classes", "rtmo_version"
_MAX_NOTE = 1_000_000  # characters of the keypoint set or the classes
# What the package was seen to raise on damaged files, besides its own error.
_DAMAGE = (OSError, ValueError, TypeError, LookupError, RuntimeError, AttributeError, OverflowError, struct.error)


@dataclass(frozen=True)
class ModelNotes:
    """Text beside the tensors of a safetensors file.

    Attributes:
        config: Text of the config, in Python.
        keypoints: Keypoint set.
        classes: Class names by label.
    """

    config: str
    keypoints: KeypointSchema
    classes: Sequence[str]


def is_safetensors(path: str | Path) -> bool:
    """Tell whether a path ends as safetensors files do."""
    return Path(path).suffix.lower() == SUFFIX


def read_safetensors(path: Path) -> dict[str, Any]:
    """Read a safetensors file as a checkpoint of MMEngine's format.

    Returns:
        A dict with ``state_dict`` and ``meta``; the latter has ``cfg`` and ``dataset_meta`` if the file has them.

    Raises:
        MissingPackageError: The package ``safetensors`` is not installed.
        CheckpointError: The file is damaged, or its text cannot be understood.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError as error:
        raise _explain_missing(f"Reading {path}") from error
    try:
        check_regular(path)
        with safe_open(str(path), framework="pt") as file:
            notes = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (a file is not a dict)
    except DataError as error:
        raise CheckpointError(f"{error}") from error
    except (SafetensorError, *_DAMAGE) as error:
        raise CheckpointError(
            f"{path} cannot be loaded as a checkpoint: the file is damaged, empty or not in the safetensors format."
        ) from error
    return {"state_dict": state, "meta": _read_notes(notes, path)}


def write_safetensors(path: str | Path, state: Mapping[str, Tensor], notes: ModelNotes) -> Path:
    """Write weights and notes, whole or not at all; an existing file is replaced.

    Returns:
        The path.

    Raises:
        MissingPackageError: The package ``safetensors`` is not installed.
        OutputError: The file cannot be written.
    """
    try:
        from safetensors.torch import save
    except ModuleNotFoundError as error:
        raise _explain_missing(f"Writing {path}") from error
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    text = {
        "format": "pt",
        _CONFIG: notes.config,
        _KEYPOINTS: json.dumps(asdict(notes.keypoints)),
        _CLASSES: json.dumps(list(notes.classes)),
        _WRITER: __version__,
    }
    return write_file(path, save(tensors, text))  # the package's own writer lets only the owner read the file


def _explain_missing(what: str) -> MissingPackageError:
    return MissingPackageError(f"{what} needs safetensors, which is not installed: {write_install_line('hub')}")


def _read_notes(notes: Mapping[str, str], path: Path) -> dict[str, Any]:
    """Return the ``meta`` of a checkpoint.

    Raises:
        CheckpointError: A note is too long, not JSON, or not what it should be.
    """
    meta: dict[str, Any] = {"cfg": notes[_CONFIG]} if _CONFIG in notes else {}
    if _KEYPOINTS not in notes:
        return meta
    try:
        keypoints = read_schema(_parse(notes[_KEYPOINTS], "its keypoint set"))
        classes = _parse(notes.get(_CLASSES, "[]"), "its list of classes")
        if not isinstance(classes, list) or not all(isinstance(each, str) for each in classes):
            raise DataError("its classes are not a list of names")
    except (DataError, ValueError, TypeError, LookupError) as error:
        reason = str(error).rstrip(".")
        raise CheckpointError(f"{path} has metadata that this version cannot read: {reason}.") from error
    return {**meta, "dataset_meta": {**make_dataset_meta("published", keypoints), "classes": tuple(classes)}}


def _parse(text: str, name: str) -> Any:
    if len(text) > _MAX_NOTE:
        raise DataError(f"{name} has {len(text):,} characters")
    return parse_json(text, name)
