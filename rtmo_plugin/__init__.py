"""RTMO, one-stage real-time multi-person pose estimation, as an MMPose plugin.

Naming this package in ``custom_imports`` is all another MMPose project needs:
its modules are then found under the ``rtmo_plugin.`` prefix, for example
``type='rtmo_plugin.RTMOHead'``.  Importing it loads neither torch nor mm*, unless
MMEngine is there already: the registries come into being when MMEngine first looks
for the scope.
"""

import sys

__version__ = "0.1.0"

if "mmengine" in sys.modules:
    # A config that MMEngine reads names this package in custom_imports.  MMPose's models are
    # imported next, and before any of ours, so this is the last moment to make that possible.
    import rtmo_plugin.compat  # noqa: F401
