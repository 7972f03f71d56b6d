"""The only place that works around the stack; importing it applies every work-around once.

Afterwards ``mmpose.models``, ``mmpose.visualization`` and ``mmdet.models`` import, with compiled
mmcv or with mmcv-lite, with or without torchvision, and MMEngine reads checkpoints with
``weights_only=True`` on every supported torch.  Each work-around is one function that states its
reason and does nothing where upstream is fine.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import pickle
import pkgutil
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import mmengine.utils.package_utils
import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from rtmo_plugin.errors import CheckpointError

_HISTORY_STATISTICS = ("min", "max", "current", "mean")
_FORCE_WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_FORBID_WEIGHTS_ONLY = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
_environment_lock = threading.RLock()


def apply_workarounds() -> None:
    """Apply every work-around; calling it again changes nothing."""
    _stand_in_for_compiled_mmcv()
    _stand_in_for_simcc_visualizer()
    _restore_find_loader()
    _look_up_packages_without_pkg_resources()
    _trust_mmengine_checkpoints()
    _enforce_weights_only()


# ---------------------------------------------------------------- imports that fail upstream


def _stand_in_for_compiled_mmcv() -> None:
    """Let ``mmcv.ops`` import with mmcv-lite, whose operators then fail only when called.

    ``mmpose.models`` and ``mmdet.models`` import ``mmcv.ops``, which needs ``mmcv._ext`` at import,
    although RTMO calls none of its operators.  The stand-in's spec has no loader, so MMEngine's
    ``mmcv_full_available()`` still answers truthfully that compiled mmcv is missing.
    """
    if "mmcv._ext" in sys.modules or not _is_lite(importlib.util.find_spec("mmcv")):
        return
    extension = _make_stand_in("mmcv._ext", _refuse_operator)
    # Environment reports call these two, and should say what is there rather than fail.
    extension.get_compiler_version = lambda: "not compiled (mmcv-lite)"
    extension.get_compiling_cuda_version = lambda: "not available"


def _is_lite(mmcv_spec: ModuleSpec | None) -> bool:
    """Tell whether mmcv is installed without its compiled extension, without importing it."""
    if mmcv_spec is None:
        return False
    return PathFinder.find_spec("mmcv._ext", mmcv_spec.submodule_search_locations) is None


def _refuse_operator(name: str) -> Callable[..., Any]:
    """Return a function that says, when called, that the mmcv operator ``name`` is not there."""

    def raise_not_compiled(*args: object, **kwargs: object) -> None:
        raise RuntimeError(
            f"The operator '{name}' of mmcv.ops needs compiled mmcv, but mmcv-lite is installed: run "
            "`pip uninstall mmcv-lite`, then `MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0` "
            "(needs a C++ compiler, `setuptools<81` and ninja; about 7 minutes)."
        )

    return raise_not_compiled


def _stand_in_for_simcc_visualizer() -> None:
    """Let ``mmpose.visualization`` import without torchvision, which one unrelated class of it needs.

    Only ``simcc_vis`` imports torchvision, to draw SimCC heat maps.  Standing in for that one
    module, not for torchvision, keeps every other ``import torchvision`` honest.
    """
    name = "mmpose.visualization.simcc_vis"
    if name in sys.modules or importlib.util.find_spec("torchvision") is not None:
        return
    _make_stand_in(name, _refuse_visualizer)


def _refuse_visualizer(name: str) -> Callable[..., Any]:
    """Return a function that says, when called, that ``name`` needs torchvision."""

    def raise_no_torchvision(*args: object, **kwargs: object) -> None:
        raise RuntimeError(
            f"{name} of mmpose.visualization needs torchvision: install the torchvision that belongs to "
            f"torch {torch.__version__}."
        )

    return raise_no_torchvision


def _make_stand_in(name: str, refuse: Callable[[str], Callable[..., Any]]) -> Any:
    """Register a module ``name`` whose every public attribute is ``refuse(attribute)``."""
    module: Any = ModuleType(name, "Stand-in made by rtmo_plugin.compat.")
    module.__spec__ = ModuleSpec(name, loader=None, origin=__name__)

    def get_attribute(attribute: str) -> Callable[..., Any]:
        if attribute.startswith("__"):
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        return refuse(attribute)

    module.__getattr__ = get_attribute
    sys.modules[name] = module
    return module


def _restore_find_loader() -> None:
    """Give ``pkgutil.find_loader`` back to Python 3.14, which removed it.

    MMEngine 0.10.7 calls it in every optimizer construction, to ask for compiled mmcv.
    """
    if hasattr(pkgutil, "find_loader"):
        return

    def find_loader(fullname: str) -> Any:
        spec = importlib.util.find_spec(fullname)
        return None if spec is None else spec.loader

    pkgutil.find_loader = find_loader


def _look_up_packages_without_pkg_resources() -> None:
    """Let MMEngine find installed packages with setuptools 82 or newer, which has no pkg_resources.

    ``_base_ = 'mmpose::...'`` in a config and the import of ``mmpose.apis`` ask for package folders.
    """
    if importlib.util.find_spec("pkg_resources") is not None:
        return
    users = ("mmengine.utils.package_utils", "mmengine.utils", "mmengine.config.config", "mmengine.hub.hub")
    for module in filter(None, map(sys.modules.get, users)):
        for function in (is_installed, get_installed_path):
            if hasattr(module, function.__name__):
                setattr(module, function.__name__, function)


def is_installed(package: str) -> bool:
    """Tell whether ``package``, the name of a module or of a distribution, is installed."""
    spec = importlib.util.find_spec(_get_module_name(package))
    return spec is not None and spec.origin is not None


def get_installed_path(package: str) -> str:
    """Return the folder of ``package``, the name of a module or of a distribution.

    Raises:
        importlib.metadata.PackageNotFoundError: It is not installed.
    """
    spec = importlib.util.find_spec(_get_module_name(package))
    if spec is None or spec.origin is None:
        raise importlib.metadata.PackageNotFoundError(package)
    return str(Path(spec.origin).parent)


def _get_module_name(package: str) -> str:
    """Return the module that the distribution ``package`` installs, or ``package`` itself."""
    if importlib.util.find_spec(package) is not None:
        return package
    try:
        top_level = importlib.metadata.distribution(package).read_text("top_level.txt")
    except importlib.metadata.PackageNotFoundError:
        return package
    return top_level.split()[0] if top_level else package


# ---------------------------------------------------------------- checkpoints


def _enforce_weights_only() -> None:
    """Make every checkpoint that MMEngine loads go through ``weights_only=True``.

    MMEngine leaves the choice to torch, which before 2.6 means that a file may run any code, and
    for URLs still does.  All of MMEngine's loaders pass through this one class method.
    """
    load = CheckpointLoader.load_checkpoint.__func__
    if hasattr(load, "__wrapped__"):
        return

    @functools.wraps(load)
    def load_checkpoint(cls: type, filename: str, *args: Any, **kwargs: Any) -> Any:
        try:
            with _force_weights_only():
                return load(cls, filename, *args, **kwargs)
        except pickle.UnpicklingError as error:
            raise CheckpointError(_explain_refusal(filename, str(error))) from error

    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)


@contextmanager
def _force_weights_only() -> Iterator[None]:
    """Set torch's own switch for the time of one load, whatever the caller of ``torch.load`` asks for."""
    with _environment_lock:
        names = (_FORCE_WEIGHTS_ONLY, _FORBID_WEIGHTS_ONLY)
        before = {name: os.environ.pop(name) for name in names if name in os.environ}
        os.environ[_FORCE_WEIGHTS_ONLY] = "1"
        try:
            yield
        finally:
            del os.environ[_FORCE_WEIGHTS_ONLY]
            os.environ.update(before)


def _explain_refusal(filename: str, message: str) -> str:
    """Say in one sentence why torch refused a checkpoint."""
    found = re.search(r"(?:GLOBAL|class) ([\w.]+\w)", message)
    content = f"it names {found[1]}, which a checkpoint has no need of" if found else "it cannot be read"
    return f"The checkpoint {filename} was not loaded: {content}; save it again with tensors and plain values only."


def _trust_mmengine_checkpoints() -> None:
    """Name the few classes of MMEngine's own checkpoints that ``weights_only=True`` does not know.

    They hold log histories (``HistoryBuffer``) with NumPy arrays.  torch 2.4 and newer have a list
    for such classes; older ones only a fixed one, so their unpickler is exchanged.
    """
    if hasattr(torch.serialization, "add_safe_globals"):
        known = {(item.__module__, item.__qualname__) for item in _get_safe_items()}
        functions = [_rename(function, name) for name, function in _get_trusted_functions().items()]
        items = [*_get_trusted_types(), *functions]
        torch.serialization.add_safe_globals(
            [item for item in items if (item.__module__, item.__qualname__) not in known]
        )
    else:
        torch.serialization._weights_only_unpickler = SimpleNamespace(Unpickler=_Unpickler, load=_Unpickler.load_file)


def _get_safe_items() -> list[Any]:
    """Return what is on torch's list already, without the entries that are pairs."""
    return [item for item in torch.serialization.get_safe_globals() if not isinstance(item, tuple)]


def _get_trusted_types() -> list[type]:
    """Return the classes whose instances an MMEngine checkpoint may hold."""
    dtypes = {type(np.dtype(code)) for code in "?bhilqBHILQefdU"}
    return [HistoryBuffer, np.ndarray, np.dtype, *sorted(dtypes, key=lambda dtype: dtype.__name__)]


def _get_trusted_functions() -> dict[str, Callable[..., Any]]:
    """Return the functions an MMEngine checkpoint may call, by the names under which it does.

    NumPy 2 renamed the module of two of them, and a file may come from either.  ``getattr`` itself
    would open the door that ``weights_only`` closes; pickle uses it for the statistics of a
    ``HistoryBuffer``, so exactly these stand behind its name.
    """
    make_array, make_scalar = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    return {
        "numpy.core.multiarray._reconstruct": make_array,
        "numpy._core.multiarray._reconstruct": make_array,
        "numpy.core.multiarray.scalar": make_scalar,
        "numpy._core.multiarray.scalar": make_scalar,
        "__builtin__.getattr": _get_history_statistic,
        "builtins.getattr": _get_history_statistic,
    }


def _get_history_statistic(owner: object, name: str) -> Callable[..., Any]:
    """Return one of the four statistics of ``HistoryBuffer``, and nothing else.

    Raises:
        pickle.UnpicklingError: Anything else is asked for.
    """
    if owner is not HistoryBuffer or name not in _HISTORY_STATISTICS:
        raise pickle.UnpicklingError("Unsupported class builtins.getattr")
    return getattr(HistoryBuffer, name)


def _rename(function: Callable[..., Any], full_name: str) -> Callable[..., Any]:
    """Return ``function`` under ``full_name``, by which torch's list finds it."""

    def call(*args: Any) -> Any:
        return function(*args)

    call.__module__, _, call.__name__ = full_name.rpartition(".")
    call.__qualname__ = call.__name__
    return call


class _Unpickler(pickle._Unpickler):
    """The ``weights_only`` unpickler of torch before 2.4, with the trusted names added.

    torch's own cannot be extended: it builds nothing but tensors and ordered dicts.  This is
    Python's, restricted in the same two ways: names come from a list, and only instances of listed
    classes take a state.
    """

    dispatch = dict(pickle._Unpickler.dispatch)

    @classmethod
    def load_file(cls, file: Any, **kwargs: Any) -> Any:
        """Read one object from ``file``."""
        return cls(file, **kwargs).load()

    def find_class(self, module: str, name: str) -> Any:
        """Return the listed object ``module.name``.

        Raises:
            pickle.UnpicklingError: It is not on the list.
        """
        allowed = _get_allowed_names()
        if f"{module}.{name}" not in allowed:
            raise pickle.UnpicklingError(f"Unsupported class {module}.{name}")
        return allowed[f"{module}.{name}"]

    def load_build(self) -> None:
        """Set the state of an instance, if its class is listed."""
        buildable = (torch.Tensor, OrderedDict, HistoryBuffer, np.ndarray, np.dtype)
        if not isinstance(self.stack[-2], buildable):
            raise pickle.UnpicklingError(f"Unsupported class {type(self.stack[-2]).__name__} with a state")
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


@functools.lru_cache(maxsize=1)
def _get_allowed_names() -> dict[str, Any]:
    """Return the objects that a checkpoint may name, torch's own and ours, on torch before 2.4."""
    types = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in _get_trusted_types()}
    encode = {"_codecs.encode": pickle.codecs.encode}
    return {**torch._weights_only_unpickler._get_allowed_globals(), **types, **encode, **_get_trusted_functions()}


apply_workarounds()
