"""Classes that a config names by their ``type``, looked up as MMEngine would from MMPose."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from mmengine import registry as root

# What builds a model and its evaluation.
MODEL_REGISTRIES = (
    root.MODELS,
    root.TASK_UTILS,
    root.DATASETS,
    root.DATA_SAMPLERS,
    root.TRANSFORMS,
    root.METRICS,
    root.LOOPS,
)
REGISTRIES = (
    *MODEL_REGISTRIES,
    root.HOOKS,
    root.OPTIMIZERS,
    root.OPTIM_WRAPPERS,
    root.OPTIM_WRAPPER_CONSTRUCTORS,
    root.PARAM_SCHEDULERS,
    root.VISUALIZERS,
    root.VISBACKENDS,
    root.LOG_PROCESSORS,
)


def find_class(name: str, registries: Iterable[root.Registry] = REGISTRIES) -> type | None:
    """Return the class of a name, or None; a dotted name that is not registered is imported, as by MMEngine."""
    for registry in registries:
        with registry.switch_scope_and_registry("mmpose") as scoped:
            found = scoped.get(name)
        if inspect.isclass(found):
            return found
    return None
