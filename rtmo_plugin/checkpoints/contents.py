"""What may stand in a checkpoint: values that ``read_checkpoint`` reads back."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rtmo_plugin.errors import CheckpointError

_PLAIN_CONTAINERS: tuple[tuple[Any, Any], ...] = (((list, deque, range), list), (tuple, tuple), ((set, frozenset), set))
_STAND_IN = torch.empty(0)
# What torch raises for an object that cannot be pickled, and for one that it does not read back.
_REFUSALS = (pickle.PickleError, AttributeError, TypeError, ValueError, RecursionError, RuntimeError)


def make_plain(value: Any) -> Any:
    """Return ``value`` with builtin types in place of their equivalents.

    Subclasses of ``dict`` such as MMEngine's ``ConfigDict`` become dicts, paths become text, and arrays of objects
    become lists.  Everything else is unchanged.

    Examples:
        >>> from mmengine.config import ConfigDict
        >>> make_plain(ConfigDict(names=("nose",), pairs=frozenset({1})))
        {'names': ('nose',), 'pairs': {1}}
    """
    if isinstance(value, Mapping):
        kind: Any = type(value) if type(value) in (dict, OrderedDict) else dict
        return kind((make_plain(key), make_plain(item)) for key, item in value.items())
    if isinstance(value, torch.Size):
        return value
    for kinds, plain in _PLAIN_CONTAINERS:
        if isinstance(value, kinds):
            return plain(make_plain(item) for item in value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "OV":
        return make_plain(value.tolist())
    if isinstance(value, Enum):
        return make_plain(value.value)
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def check_readable(content: Any, where: str) -> None:
    """Check that a checkpoint can be read back; numbers in tensors need no check.

    Args:
        content: Checkpoint, or a part of one.
        where: Name of ``content`` in the message, such as ``meta``; empty for a whole checkpoint.

    Raises:
        CheckpointError: A value would be refused; the message names its place and type.
    """
    content = _drop_numbers(content)
    if _is_readable(content):
        return
    place, value = next(_find_refused(content, where))
    kind = type(value)
    raise CheckpointError(
        f"{place} is a {kind.__module__}.{kind.__qualname__}, and a checkpoint with it could not be read again: "
        "use numbers, text, lists, dicts, arrays and tensors only, for example in the metainfo of the data set."
    )


def _drop_numbers(value: Any) -> Any:
    """Return ``value`` with an empty tensor in the place of each tensor."""
    if type(value) in (dict, OrderedDict):
        return type(value)((key, _drop_numbers(item)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(_drop_numbers(item) for item in value)
    return _STAND_IN if type(value) in (Tensor, nn.Parameter) else value


def _is_readable(value: Any) -> bool:
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except _REFUSALS:
        return False
    return True


def _find_refused(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of what is refused, the innermost first."""
    if type(value) in (dict, OrderedDict):
        parts = {f"{where}.{key}".lstrip("."): item for key, item in value.items()}
    elif type(value) in (list, tuple):
        parts = {f"{where}[{index}]": item for index, item in enumerate(value)}
    else:
        parts = {}
    for name, item in parts.items():
        if not _is_readable(item):
            yield from _find_refused(item, name)
    yield where or "The checkpoint", value
