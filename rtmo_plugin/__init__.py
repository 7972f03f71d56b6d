"""RTMO, one-stage real-time multi-person pose estimation, as an MMPose plugin.

Naming this package in ``custom_imports`` is all another MMPose project needs:
its modules are then found under the ``rtmo_plugin.`` prefix, for example
``type='rtmo_plugin.RTMOHead'``.  Importing it loads neither torch nor mm*: the
registries come into being when MMEngine first looks for the scope.
"""

__version__ = "0.1.0"
