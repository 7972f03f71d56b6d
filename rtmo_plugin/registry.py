"""Registries of scope ``rtmo_plugin``: the only module that registered classes import to register.

Each is a child of MMEngine's root registry of the same kind, so a config that keeps
``default_scope = 'mmpose'`` finds our classes by the prefix ``rtmo_plugin.`` and everything else
as before.  ``locations`` lets MMEngine import the modules on the first look-up.
"""

import rtmo_plugin.compat  # noqa: F401  (must come before any import of mmpose or mmdet)

from mmengine import registry as root  # isort: skip

_SCOPE = "rtmo_plugin"


def _make_child(parent: root.Registry, *locations: str) -> root.Registry:
    """Return a child of ``parent`` in our scope that imports ``locations`` on demand."""
    return root.Registry(
        parent.name, parent=parent, scope=_SCOPE, locations=[f"{_SCOPE}.{where}" for where in locations]
    )


MODELS = _make_child(root.MODELS, "models")
TASK_UTILS = _make_child(root.TASK_UTILS, "models")
HOOKS = _make_child(root.HOOKS, "engine")
OPTIM_WRAPPERS = _make_child(root.OPTIM_WRAPPERS, "engine")
DATASETS = _make_child(root.DATASETS, "datasets")
TRANSFORMS = _make_child(root.TRANSFORMS, "datasets", "datasets.transforms")
METRICS = _make_child(root.METRICS, "evaluation")
