"""Find checkpoints and read them without running code from them."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rtmo_plugin.checkpoints.model_names import ModelKind, find_kind_of_model
from rtmo_plugin.checkpoints.safetensors_files import is_safetensors, read_safetensors
from rtmo_plugin.checkpoints.zoo import CATALOGUE, describe_url, fetch, is_url, suggest_name
from rtmo_plugin.errors import CheckpointError, DataError, MissingFileError
from rtmo_plugin.files import check_archive

# What torch's restricted unpickler and zip reader were seen to raise on damaged or foreign files.
_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    LookupError,
    EOFError,
    AssertionError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
    OSError,
)
_NEEDED_TO_RESUME = ("optimizer", "message_hub", "param_schedulers")


def locate_checkpoint(checkpoint: str | Path) -> Path:
    """Return the local file of a checkpoint, after a download if it is a URL or a name of the zoo.

    Args:
        checkpoint: File; URL; or a name such as ``rtmo-s_body7``, unless a file has that name.

    Raises:
        MissingFileError: The file does not exist, or cannot be downloaded.
        CheckpointError: The downloaded file is not the published one, or a model instead of a checkpoint.
    """
    check_checkpoint_exists(checkpoint)
    name, path = str(checkpoint), Path(checkpoint).expanduser()
    if is_url(name):
        return fetch(describe_url(name))
    return path if path.is_file() else fetch(CATALOGUE[name])


def check_checkpoint_exists(checkpoint: str | Path) -> None:
    """Check that a checkpoint is a file, a URL or a name of the zoo, without a download.

    Args:
        checkpoint: Checkpoint, as ``locate_checkpoint`` takes it.

    Raises:
        MissingFileError: It is none of them.
        CheckpointError: It is a model instead of a checkpoint.
    """
    name, path = str(checkpoint), Path(checkpoint).expanduser()
    if path.is_file() or name in CATALOGUE or is_url(name):
        kind = find_kind_of_model(name)
        if kind is not ModelKind.CHECKPOINT:
            remedy = ": leave out -onnx" if name in CATALOGUE else ""
            raise CheckpointError(f"{name} is {kind.value}, and a checkpoint is needed{remedy}.")
        return
    if path.is_dir():
        raise MissingFileError(f"The checkpoint {path} is a folder: name a .pth or .safetensors file in it.")
    is_name = path.name == name and not path.suffix
    raise MissingFileError(f"The checkpoint file {path} does not exist{suggest_name(name) if is_name else '.'}")


def read_note(work_dir: Path) -> Path | None:
    """Return the checkpoint that a run in ``work_dir`` says it wrote last, whether or not it is there.

    A note that names a file in another work folder came with a copy of that folder: the file of that name in
    ``work_dir`` is meant.
    """
    note = work_dir / "last_checkpoint"
    text = note.read_text().strip() if note.is_file() else ""
    if not text:  # no checkpoint yet, or killed while noting it
        return None
    noted = Path(text)
    moved = work_dir / noted.name  # where it is if the folder was moved
    is_of_another_run = noted.parent.resolve() != work_dir.resolve() and (noted.parent / note.name).is_file()
    return moved if moved.is_file() or is_of_another_run else noted


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """Read a checkpoint of MMEngine's format, a bare state dict or a safetensors file, onto the CPU.

    Returns:
        A dict with at least ``state_dict``.

    Raises:
        CheckpointError: The file is not a checkpoint, is damaged, or holds more than tensors and
            plain data, which could run code when loaded; or it unpacks to many times its size.
        MissingPackageError: It is a safetensors file, and that package is not installed.
    """
    content = read_safetensors(path) if is_safetensors(path) else _unpickle(path)
    if isinstance(content, dict) and "state_dict" not in content:
        content = {"state_dict": content}
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    is_named = isinstance(state, Mapping) and all(isinstance(name, str) for name in state)
    if not (state and is_named and all(isinstance(value, Tensor) for value in state.values())):
        raise CheckpointError(f"{path} cannot be loaded as a checkpoint: it holds no model's state_dict.")
    checkpoint: Mapping[str, Any] = content
    return checkpoint


def _unpickle(path: Path) -> Any:
    """Return the content of a file of ``torch.save``.

    Raises:
        CheckpointError: The file cannot be read, see ``read_checkpoint``.
    """
    try:
        check_archive(path)
    except DataError as error:
        raise CheckpointError(f"{error}") from error
    try:
        if _holds_code(path):
            raise CheckpointError(
                f"{path} is a TorchScript file, which holds code, and not a checkpoint: exported files end with .pt."
            )
        return torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except _UNREADABLE as error:
        reason = "the file is damaged, empty or of another format"
        unsafe = re.search(r"(?:GLOBAL|class) ([\w.]+\w)", str(error))
        if unsafe:
            reason = f"it refers to {unsafe[1]}, and only tensors and plain data are loaded, for safety"
        elif isinstance(error, OSError) and error.filename:  # the system's own; torch's zip reader raises others
            reason = str(error.strerror)
        raise CheckpointError(f"{path} cannot be loaded as a checkpoint: {reason}.") from error


def _holds_code(path: Path) -> bool:
    """Tell whether a file is an archive with code, which some versions of PyTorch run whatever they are told."""
    try:
        is_archive = zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # a damaged one, which PyTorch may still read
        is_archive = True
    if not is_archive:
        return False
    return "constants.pkl" in torch._C.PyTorchFileReader(str(path)).get_all_records()


def find_training_ap(checkpoint: Mapping[str, Any], name: str) -> float | None:
    """Return the AP of the last validation before a checkpoint was written, or the published AP of a published name.

    Args:
        checkpoint: Content of the file.
        name: Name by which the checkpoint was given.

    Returns:
        AP between 0 and 1, or None if neither is known.
    """
    hub = checkpoint.get("message_hub")
    scalars = hub.get("log_scalars", {}) if isinstance(hub, Mapping) else {}
    validated = [scalars[key] for key in scalars if key.endswith("/AP")]
    if validated:
        return float(validated[0].current())
    return CATALOGUE[name].ap if name in CATALOGUE else None


def check_resumable(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Check that training can continue from a checkpoint, not only start from its weights.

    Raises:
        CheckpointError: It lacks the optimizer's state, as published files do, or the epoch.
    """
    lacking = [name for name in _NEEDED_TO_RESUME if name not in checkpoint]
    meta = checkpoint.get("meta")
    if not isinstance(meta, Mapping) or "epoch" not in meta or "iter" not in meta:
        lacking.append("meta.epoch")
    if lacking:
        raise CheckpointError(
            f"{path} cannot be resumed, because it has no {lacking[0]}: to start from its weights, pass --load-from."
        )
