"""The only place that works around the stack; importing it applies every work-around once.

Afterwards ``mmpose.models``, ``mmpose.visualization`` and ``mmdet.models`` import, with compiled
mmcv or with mmcv-lite, with or without torchvision and xtcocotools, and MMEngine reads checkpoints with
``weights_only=True`` on every supported torch.  Each work-around is one function that states its
reason and does nothing where upstream is fine.
"""

from __future__ import annotations

import codecs
import functools
import importlib.metadata
import importlib.util
import io
import os
import pickle
import pkgutil
import re
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from rtmo_plugin.errors import CheckpointError, MissingPackageError

_HISTORY_STATISTICS = ("min", "max", "current", "mean")
_WEIGHTS_ONLY_SWITCHES = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
_environment_lock = threading.RLock()


def apply_workarounds() -> None:
    """Apply every work-around; calling it again changes nothing."""
    _stand_in_for_compiled_mmcv()
    _stand_in_for_simcc_visualizer()
    _stand_in_for_xtcocotools()
    _restore_find_loader()
    _look_up_packages_with_importlib()
    _silence_deprecations_of_upstream()
    _trust_mmengine_checkpoints()
    _enforce_weights_only()


def _stand_in_for_compiled_mmcv() -> None:
    """Let ``mmcv.ops`` import with mmcv-lite, whose operators then fail only when called.

    ``mmpose.models`` and ``mmdet.models`` import ``mmcv.ops``, which needs ``mmcv._ext`` at import,
    although RTMO calls none of its operators.  The stand-in's spec has no loader, so MMEngine's
    ``mmcv_full_available()`` still returns the truth, that compiled mmcv is missing.
    """
    mmcv, name = importlib.util.find_spec("mmcv"), "mmcv._ext"
    if mmcv is None or name in sys.modules or PathFinder.find_spec(name, mmcv.submodule_search_locations):
        return
    extension = _make_stand_in(
        name,
        "The operator '{name}' of mmcv.ops needs compiled mmcv, but mmcv-lite is installed: run "
        "`pip uninstall mmcv-lite`, then `MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0` "
        "(needs a C++ compiler, `setuptools<81` and ninja; about 7 minutes).",
    )
    # Environment reports call these two, and should say what is there rather than fail.
    extension.get_compiler_version = lambda: "not compiled (mmcv-lite)"
    extension.get_compiling_cuda_version = lambda: "not available"


def _stand_in_for_simcc_visualizer() -> None:
    """Let ``mmpose.visualization`` import without torchvision, which one unrelated class of it needs.

    Only ``simcc_vis`` imports torchvision, to draw SimCC heat maps.  Standing in for that one
    module, not for torchvision, keeps every other ``import torchvision`` honest.
    """
    name = "mmpose.visualization.simcc_vis"
    if name not in sys.modules and importlib.util.find_spec("torchvision") is None:
        needed = f"needs torchvision: install the one that belongs to torch {torch.__version__}."
        _make_stand_in(name, "{name} of mmpose.visualization " + needed)


def _stand_in_for_xtcocotools() -> None:
    """Let MMPose import where xtcocotools is missing, or was built for another NumPy.

    Its last release, 1.14.3, has wheels up to Python 3.11 only, built against NumPy 1, and its build
    fails in a new environment.  MMPose imports it at the top of its datasets, transforms and metrics.
    Reading annotations and masks is the same in pycocotools, which takes its place; the evaluation is
    not, so that one raises when called.  An xtcocotools that works is left alone.
    """
    name = "xtcocotools"
    reason = _find_import_error(f"{name}.mask")
    if reason is None:
        return
    for broken in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[broken]
    message = (
        f"{{name}} needs a working xtcocotools, but {reason}: use type='rtmo_plugin.CocoMetric' or "
        "type='rtmo_plugin.CrowdPoseMetric' in the config, which give the same numbers without it."
    )
    package = _make_stand_in(name, message, MissingPackageError)
    package.cocoeval = _make_stand_in(f"{name}.cocoeval", message, MissingPackageError)
    package.mask = sys.modules[f"{name}.mask"] = importlib.import_module("pycocotools.mask")
    package.coco = _make_stand_in(f"{name}.coco", message, MissingPackageError)
    package.coco.COCO = _make_annotation_reader()


def _find_import_error(module: str) -> str | None:
    """Return in half a sentence why ``module`` cannot be imported; None if it can.

    NumPy explains at length on stderr that a module was built for another NumPy; this is dropped.
    """
    if isinstance(getattr(sys.modules.get(module), "__spec__", None), ModuleSpec):
        return None  # imported before, or a stand-in
    try:
        with redirect_stderr(io.StringIO()):
            importlib.import_module(module)
    except ModuleNotFoundError:
        return f"{module.partition('.')[0]} is not installed"
    except (ImportError, ValueError, AttributeError) as error:  # a ValueError: "numpy.dtype size changed"
        return f"the installed {module.partition('.')[0]} does not import ({str(error).partition(',')[0]})"
    return None


def _make_annotation_reader() -> type:
    """Return pycocotools' reader of COCO files with the one default that xtcocotools adds."""
    from pycocotools.coco import COCO

    class AnnotationReader(COCO):
        """COCO file whose annotations without ``iscrowd`` are not crowds, as in xtcocotools."""

        def createIndex(self) -> None:  # noqa: N802  # pycocotools' own name
            for annotation in self.dataset.get("annotations", ()):
                annotation.setdefault("iscrowd", False)
            super().createIndex()

    return AnnotationReader


def _make_stand_in(module_name: str, message: str, error: type[Exception] = RuntimeError) -> Any:
    """Register a module whose every public attribute is a function that raises ``error(message)``."""
    module: Any = ModuleType(module_name, "Stand-in made by rtmo_plugin.compat.")
    module.__spec__ = ModuleSpec(module_name, loader=None, origin=__name__)

    def get_attribute(name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(f"module {module_name!r} has no attribute {name!r}")

        def raise_not_there(*args: object, **kwargs: object) -> None:
            raise error(message.format(name=name))

        return raise_not_there

    module.__getattr__ = get_attribute
    sys.modules[module_name] = module
    return module


def _restore_find_loader() -> None:
    """Give ``pkgutil.find_loader`` back to Python 3.14, which removed it.

    MMEngine 0.10.7 calls it in every optimizer construction, to ask for compiled mmcv.
    """
    if not hasattr(pkgutil, "find_loader"):
        pkgutil.find_loader = lambda name: getattr(importlib.util.find_spec(name), "loader", None)


def _look_up_packages_with_importlib() -> None:
    """Let MMEngine find installed packages without pkg_resources.

    setuptools 82 and newer do not have it, and older ones print a deprecation warning when it is imported.
    ``_base_ = 'mmpose::...'`` in a config and the import of ``mmpose.apis`` ask for package folders.
    """
    users = ("mmengine.utils.package_utils", "mmengine.utils", "mmengine.config.config", "mmengine.hub.hub")
    for module in filter(None, map(sys.modules.get, users)):
        for function in (is_installed, get_installed_path):
            if hasattr(module, function.__name__):
                setattr(module, function.__name__, function)


def _silence_deprecations_of_upstream() -> None:
    """Drop the warnings that MMPose and MMDetection call functions which PyTorch is about to rename.

    They name a line of a backbone, and there is nothing that a user could change.
    """
    pattern = r"`torch\.cuda\.amp\."
    if not any(message is not None and message.pattern == pattern for _, message, *_ in warnings.filters):
        warnings.filterwarnings("ignore", pattern, FutureWarning, module=r"mm(cv|det|engine|pose)\.")


def is_installed(package: str) -> bool:
    """Tell whether ``package``, the name of a module or of a distribution, is installed."""
    return _find_package(package) is not None


def get_installed_path(package: str) -> str:
    """Return the folder of ``package``, the name of a module or of a distribution.

    Raises:
        importlib.metadata.PackageNotFoundError: It is not installed.
    """
    spec = _find_package(package)
    if spec is None or spec.origin is None:
        raise importlib.metadata.PackageNotFoundError(package)
    return str(Path(spec.origin).parent)


def _find_package(package: str) -> ModuleSpec | None:
    """Return the spec of the module ``package``, or of the one that this distribution installs."""
    try:
        top_level = importlib.metadata.distribution(package).read_text("top_level.txt") or ""
    except importlib.metadata.PackageNotFoundError:
        top_level = ""
    return next(filter(None, map(importlib.util.find_spec, [package, *top_level.split()])), None)


def _enforce_weights_only() -> None:
    """Make every checkpoint that MMEngine loads go through ``weights_only=True``.

    MMEngine leaves the choice to torch, which before 2.6 means that a file may run any code, and
    for URLs still does.  All of MMEngine's loaders pass through this one class method.
    """
    load = CheckpointLoader.load_checkpoint.__func__
    if hasattr(load, "__wrapped__"):  # done before
        return

    @functools.wraps(load)
    def load_checkpoint(cls: type, filename: str, *args: Any, **kwargs: Any) -> Any:
        try:
            with _force_weights_only():
                return load(cls, filename, *args, **kwargs)
        except pickle.UnpicklingError as error:
            raise CheckpointError(f"The checkpoint {filename} was not loaded: {_explain(error)}.") from error

    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)


@contextmanager
def _force_weights_only() -> Iterator[None]:
    """Set torch's own switch for the time of one load, whatever the caller of ``torch.load`` asks for."""
    with _environment_lock:
        before = {name: os.environ.pop(name) for name in _WEIGHTS_ONLY_SWITCHES if name in os.environ}
        os.environ[_WEIGHTS_ONLY_SWITCHES[0]] = "1"
        try:
            yield
        finally:
            del os.environ[_WEIGHTS_ONLY_SWITCHES[0]]
            os.environ.update(before)


def _explain(error: pickle.UnpicklingError) -> str:
    """Say in half a sentence why torch did not load a file."""
    found = re.search(r"(?:GLOBAL|class) ([\w.]+\w)", str(error))
    if found is None:
        return "it is damaged, or not a file that torch.save wrote"
    return f"it asks for {found[1]}, which may run code; save it again with tensors and plain values only"


@functools.lru_cache(maxsize=1)
def _trust_mmengine_checkpoints() -> None:
    """Name the few classes of MMEngine's own checkpoints that ``weights_only=True`` does not know.

    They hold log histories (``HistoryBuffer``) with NumPy arrays.  torch 2.4 and newer have a list
    for such classes; older ones only a fixed one, so their unpickler is exchanged.
    """
    if hasattr(torch.serialization, "add_safe_globals"):
        functions = [_rename(function, name) for name, function in _get_trusted_functions().items()]
        torch.serialization.add_safe_globals([*_get_trusted_types(), *functions])
    else:
        torch.serialization._weights_only_unpickler = SimpleNamespace(
            Unpickler=_Unpickler, load=lambda file, **kwargs: _Unpickler(file, **kwargs).load()
        )


def _get_trusted_types() -> list[type]:
    """Return the classes whose instances an MMEngine checkpoint may hold."""
    dtypes = {type(np.dtype(code)) for code in "?bhilqBHILQefdFDgGSUMm"}  # objects and records may hold pointers
    return [HistoryBuffer, np.ndarray, np.dtype, *sorted(dtypes, key=lambda dtype: dtype.__name__)]


def _get_trusted_functions() -> dict[str, Callable[..., Any]]:
    """Return the functions an MMEngine checkpoint may call, by the names under which it does.

    NumPy 2 renamed the module of two of them, and a file may come from either.  ``getattr`` itself
    would open the door that ``weights_only`` closes; pickle uses it for the statistics of a
    ``HistoryBuffer``, so exactly these stand behind its name.  ``bytes`` would allocate whatever a
    file asks for; pickle calls it without arguments, for the data of an empty array.
    """
    make_array, make_scalar = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
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
    """Return what ``bytes()`` does; an argument is a ``TypeError``."""
    return b""


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

    torch's own cannot be extended: it builds only tensors and ordered dicts.  This is
    Python's, restricted in the same two ways: names come from a list, and only instances of listed
    classes take a state.
    """

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

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
    plain = {f"{module}.{kind.__name__}": kind for module in ("builtins", "__builtin__") for kind in (set, complex)}
    return {**torch._weights_only_unpickler._get_allowed_globals(), **types, **plain, **_get_trusted_functions()}


apply_workarounds()
