"""Work-arounds that let ``mmpose.models``, ``mmpose.datasets``, ``mmpose.apis`` and ``mmdet.models`` import.

None of them imports torch, MMEngine or MMPose.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import pkgutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from rtmo_plugin.errors import MissingPackageError


def make_importable() -> None:
    """Make MMPose's and MMDetection's models importable; nothing else about them changes.

    Call it before their first import; further calls change nothing.
    """
    _stand_in_for_compiled_mmcv()
    _stand_in_for_simcc_visualizer()
    _stand_in_for_xtcocotools()
    _restore_find_loader()
    _look_up_packages_with_importlib()


def _stand_in_for_compiled_mmcv() -> None:
    """Make ``mmcv.ops`` importable with mmcv-lite; its operators then fail only when they are called.

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
    # Environment reports call these two functions and should not fail.
    extension.get_compiler_version = lambda: "not compiled (mmcv-lite)"
    extension.get_compiling_cuda_version = lambda: "not available"


def _stand_in_for_simcc_visualizer() -> None:
    """Make ``mmpose.visualization`` importable without torchvision, which one unrelated class of it needs.

    Only ``simcc_vis`` imports torchvision, to draw SimCC heat maps.  The stand-in replaces that one
    module and not torchvision, so every other ``import torchvision`` still fails as it should.
    """
    name = "mmpose.visualization.simcc_vis"
    if name not in sys.modules and importlib.util.find_spec("torchvision") is None:
        needed = f"needs torchvision: install the version that matches torch {importlib.metadata.version('torch')}."
        _make_stand_in(name, "{name} of mmpose.visualization " + needed)


def _stand_in_for_xtcocotools() -> None:
    """Make MMPose importable if xtcocotools is missing or was built for another NumPy.

    Its last release, 1.14.3, has wheels up to Python 3.11 only, built against NumPy 1, and its build
    fails in a new environment.  MMPose imports it at the top of its datasets, transforms and metrics.
    pycocotools reads annotations and masks in the same way and takes its place.  The evaluation differs,
    so it raises an error when called.  A working xtcocotools is left alone.
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
    """Return the reason why ``module`` cannot be imported, as part of a sentence; None if it can.

    NumPy's long message on stderr about modules built for another NumPy is discarded.
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
    """Return pycocotools' reader of COCO files with the one default value that xtcocotools adds."""
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
    module: Any = ModuleType(module_name, "Stand-in made by rtmo_plugin.workarounds.")
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
    """Restore ``pkgutil.find_loader``, which Python 3.14 removed.

    MMEngine 0.10.7 calls it whenever it builds an optimizer, to look for compiled mmcv.
    """
    if not hasattr(pkgutil, "find_loader"):
        module: Any = pkgutil
        module.find_loader = lambda name: getattr(importlib.util.find_spec(name), "loader", None)


def _look_up_packages_with_importlib() -> None:
    """Make MMEngine find installed packages without pkg_resources.

    setuptools 82 removed it, and older versions print a deprecation warning when it is imported.
    ``_base_ = 'mmpose::...'`` in a config and the import of ``mmpose.apis`` look up package folders.
    """
    users = ("mmengine.utils.package_utils", "mmengine.utils", "mmengine.config.config", "mmengine.hub.hub")
    for module in filter(None, map(sys.modules.get, users)):
        for function in (is_installed, get_installed_path):
            if hasattr(module, function.__name__):
                setattr(module, function.__name__, function)


def is_installed(package: str) -> bool:
    """Return whether ``package``, the name of a module or of a distribution, is installed."""
    return _find_package(package) is not None


def get_installed_path(package: str) -> str:
    """Return the folder of ``package``, the name of a module or of a distribution.

    Raises:
        importlib.metadata.PackageNotFoundError: The package is not installed.
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
