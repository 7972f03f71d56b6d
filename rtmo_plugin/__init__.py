"""RTMO, one-stage real-time multi-person pose estimation, as an MMPose plugin.

Naming this package in ``custom_imports`` is all another MMPose project needs:
its modules are then found under the ``rtmo_plugin.`` prefix, for example
``type='rtmo_plugin.RTMOHead'``.  Importing it loads neither torch nor mm*, unless
MMEngine is there already: the registries come into being when MMEngine first looks
for the scope.
"""

import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# What people import from here, and where it is: loaded when it is first asked for.
_LAZY = {
    "CSPConfig": "rtmo_plugin.rtmo",
    "Pose": "rtmo_plugin.pose.pose",
    "RTMO": "rtmo_plugin.rtmo",
    "RTMOConfig": "rtmo_plugin.rtmo",
}

if "mmengine" in sys.modules:
    # A config that MMEngine reads names this package in custom_imports.  MMPose's models are
    # imported next, and before any of ours, so this is the last moment to make that possible.
    import rtmo_plugin.compat  # noqa: F401


def __getattr__(name: str) -> Any:
    """Import a name of ``_LAZY``."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
