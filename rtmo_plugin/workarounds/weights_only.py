"""Work-arounds for checkpoints: MMEngine reads them with ``weights_only=True`` on every supported torch."""

from __future__ import annotations

import codecs
import functools
import os
import pickle
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from rtmo_plugin.errors import CheckpointError

_HISTORY_STATISTICS = ("min", "max", "current", "mean")
_WEIGHTS_ONLY_SWITCHES = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
_environment_lock = threading.RLock()


def protect_checkpoints() -> None:
    """Make MMEngine read checkpoints with ``weights_only=True``, its own included; further calls change nothing."""
    _trust_mmengine_checkpoints()
    _enforce_weights_only()


def _enforce_weights_only() -> None:
    """Make MMEngine load every checkpoint with ``weights_only=True``.

    MMEngine leaves the choice to torch: before torch 2.6, and for URLs to this day, a file can run any code.
    All of MMEngine's loaders call this one class method.
    """
    load = CheckpointLoader.load_checkpoint.__func__
    if hasattr(load, "__wrapped__"):  # applied before
        return

    @functools.wraps(load)
    def load_checkpoint(cls: type, filename: str, *args: Any, **kwargs: Any) -> Any:
        try:
            with _force_weights_only():
                return load(cls, filename, *args, **kwargs)
        except pickle.UnpicklingError as error:
            found = re.search(r"(?:GLOBAL|class) ([\w.]+\w)", str(error))
            reason = "it is damaged, or torch.save did not write it"
            if found:
                reason = f"it asks for {found[1]}, which may run code; save it again with tensors and plain values only"
            raise CheckpointError(f"The checkpoint {filename} was not loaded: {reason}.") from error

    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)


@contextmanager
def _force_weights_only() -> Iterator[None]:
    """Set torch's own switch during one load, whatever ``torch.load`` is called with."""
    with _environment_lock:
        before = {name: os.environ.pop(name) for name in _WEIGHTS_ONLY_SWITCHES if name in os.environ}
        os.environ[_WEIGHTS_ONLY_SWITCHES[0]] = "1"
        try:
            yield
        finally:
            del os.environ[_WEIGHTS_ONLY_SWITCHES[0]]
            os.environ.update(before)


@functools.lru_cache(maxsize=1)
def _trust_mmengine_checkpoints() -> None:
    """Allow the few classes in MMEngine's own checkpoints that ``weights_only=True`` refuses.

    These checkpoints hold log histories (``HistoryBuffer``) with NumPy arrays.  torch 2.4 and newer have a list
    of safe classes that can be extended; in older versions the list is fixed, so their unpickler is replaced.
    """
    if hasattr(torch.serialization, "add_safe_globals"):
        functions = [_rename(function, name) for name, function in _get_trusted_functions().items()]
        torch.serialization.add_safe_globals([*_get_trusted_types(), *functions])
    else:
        serialization: Any = torch.serialization
        serialization._weights_only_unpickler = SimpleNamespace(
            Unpickler=_Unpickler, load=lambda file, **kwargs: _Unpickler(file, **kwargs).load()
        )


def _get_trusted_types() -> list[type]:
    """Return the classes whose instances a checkpoint of MMEngine may contain."""
    dtypes = {
        type(np.dtype(code)) for code in "?bhilqBHILQefdFDgGSUMm"
    }  # without objects and records, which can hold pointers
    return [HistoryBuffer, np.ndarray, np.dtype, *sorted(dtypes, key=lambda dtype: dtype.__name__)]


def _get_trusted_functions() -> dict[str, Callable[..., Any]]:
    """Return the functions that a checkpoint of MMEngine may call, by their names in the file.

    NumPy 2 renamed the module of two of them, and a file may come from either version.  ``getattr`` itself
    would defeat ``weights_only``.  Pickle uses it for the statistics of a ``HistoryBuffer``, so its name
    gives access to exactly these.  ``bytes`` would allocate any amount of memory; pickle calls it without
    arguments, for the data of an empty array, so only that is allowed.
    """
    make_array: Any = np.empty(0).__reduce__()[0]
    make_scalar: Any = np.float64(0).__reduce__()[0]
    return {
        "numpy.core.multiarray._reconstruct": make_array,
        "numpy._core.multiarray._reconstruct": make_array,
        "numpy.core.multiarray.scalar": make_scalar,
        "numpy._core.multiarray.scalar": make_scalar,
        "_codecs.encode": codecs.encode,  # bytes in an array's pickle; not on torch 2.4's own list
        "builtins.bytes": _make_empty_bytes,
        "__builtin__.bytes": _make_empty_bytes,
        "__builtin__.getattr": _get_history_statistic,
        "builtins.getattr": _get_history_statistic,
    }


def _make_empty_bytes() -> bytes:
    """Return ``bytes()``; takes no arguments."""
    return b""


def _get_history_statistic(owner: object, name: str) -> Callable[..., Any]:
    """Return one of the four statistics of ``HistoryBuffer``.

    Raises:
        pickle.UnpicklingError: Another object or attribute is requested.
    """
    if owner is not HistoryBuffer or name not in _HISTORY_STATISTICS:
        raise pickle.UnpicklingError("Unsupported class builtins.getattr")
    statistic: Callable[..., Any] = getattr(HistoryBuffer, name)
    return statistic


def _rename(function: Callable[..., Any], full_name: str) -> Callable[..., Any]:
    """Return ``function`` under ``full_name``, by which torch's list of safe functions finds it."""

    def call(*args: Any) -> Any:
        return function(*args)

    call.__module__, _, call.__name__ = full_name.rpartition(".")
    call.__qualname__ = call.__name__
    return call


_PythonUnpickler: Any = pickle._Unpickler  # type checkers do not know its methods


class _Unpickler(_PythonUnpickler):
    """The ``weights_only`` unpickler for torch before 2.4, with the trusted names added.

    torch's own unpickler cannot be extended: it builds only tensors and ordered dicts.  This one is
    Python's with the same two restrictions: names come from a list, and only instances of listed
    classes can be given a state.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """Return the listed object ``module.name``.

        Raises:
            pickle.UnpicklingError: The name is not on the list.
        """
        allowed = _get_allowed_names()
        if f"{module}.{name}" not in allowed:
            raise pickle.UnpicklingError(f"Unsupported class {module}.{name}")
        return allowed[f"{module}.{name}"]

    def load_build(self) -> None:
        """Set the state of an instance whose class is listed.

        Raises:
            pickle.UnpicklingError: The class is not listed.
        """
        buildable = (torch.Tensor, OrderedDict, HistoryBuffer, np.ndarray, np.dtype)
        if not isinstance(self.stack[-2], buildable):
            raise pickle.UnpicklingError(f"Unsupported class {type(self.stack[-2]).__name__} with a state")
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


@functools.lru_cache(maxsize=1)
def _get_allowed_names() -> dict[str, Any]:
    """Return the objects that a checkpoint may name, torch's and the trusted ones, for torch before 2.4."""
    types = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in _get_trusted_types()}
    plain = {f"{module}.{kind.__name__}": kind for module in ("builtins", "__builtin__") for kind in (set, complex)}
    return {**torch._weights_only_unpickler._get_allowed_globals(), **types, **plain, **_get_trusted_functions()}
