"""Deprecated: importing this module applies every work-around, which programs written for version 0.1 rely on.

Write ``from rtmo_plugin import workarounds`` and ``workarounds.apply()`` instead.
"""

import warnings

from rtmo_plugin.workarounds import apply

apply_workarounds = apply  # its name in version 0.1

warnings.warn(
    "`import rtmo_plugin.compat` is deprecated: write `from rtmo_plugin import workarounds` and `workarounds.apply()`.",
    DeprecationWarning,
    stacklevel=2,
)
apply()
