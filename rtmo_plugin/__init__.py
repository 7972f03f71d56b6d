"""RTMO, one-stage real-time multi-person pose estimation, as an MMPose plugin.

Another MMPose project only has to name this package in ``custom_imports``: its modules then have the prefix
``rtmo_plugin.``, for example ``type='rtmo_plugin.RTMOHead'``.  Importing the package loads neither torch nor
OpenMMLab.  If MMEngine is loaded already, the import also makes MMPose's models importable
(``workarounds.make_importable``).  MMEngine imports the registries when it first looks for the scope.
"""

import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Names that users import from here and their modules, which are loaded on first use.
_LAZY = {
    "CSPConfig": "rtmo_plugin.rtmo",
    "Pose": "rtmo_plugin.pose.pose",
    "RTMO": "rtmo_plugin.rtmo",
    "RTMOConfig": "rtmo_plugin.rtmo",
}

if "mmengine" in sys.modules:
    # MMEngine is reading a config that names this package in custom_imports.  It imports MMPose's models next,
    # before any module of ours, so they must be importable now.
    from rtmo_plugin.workarounds import make_importable

    make_importable()


def __getattr__(name: str) -> Any:
    """Import a name of ``_LAZY``."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
