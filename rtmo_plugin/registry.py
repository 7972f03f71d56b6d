"""Registries of the scope ``rtmo_plugin`` for all registered classes.

Each is a child of MMEngine's root registry of the same kind, so a config that keeps
``default_scope = 'mmpose'`` finds our classes by the prefix ``rtmo_plugin.`` and everything else
as before. ``locations`` lets MMEngine import the modules on the first look-up.
"""

import functools
import inspect
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from mmengine import registry as root

from rtmo_plugin import workarounds
from rtmo_plugin.errors import UnknownOptionError

workarounds.apply()  # MMEngine imports this module as a scope, before any module that imports MMPose or MMDetection

_SCOPE = "rtmo_plugin"
_OTHERS = {"mmpose": "MMPose's class", "mmdet": "MMDetection's class"}


class OptionRegistry(root.Registry):
    """A registry whose classes refuse unknown options with a clear message, in configs and in Python calls."""

    def _register_module(self, module: Any, *args: Any, **kwargs: Any) -> None:
        super()._register_module(module, *args, **kwargs)
        if inspect.isclass(module):
            checked = self._check_options(module, module.__init__)
            module.__init__ = checked  # type: ignore[method-assign]  # replaced on purpose

    def _check_options(self, cls: Any, construct: Any) -> Any:
        """Return the constructor of a class with a check of its options before it.

        If the class has a dataclass ``OPTIONS``, its fields are options too. A constructor with ``**options`` is not
        checked: the function that receives them has to do it.
        """
        own = [each for each in cls.__mro__ if "__init__" in vars(each)]
        parameters = list(inspect.signature(construct).parameters.values()) if _has_options(own[0]) else []
        known = [each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
        is_open = any(each.kind is each.VAR_KEYWORD for each in parameters)
        if hasattr(cls, "OPTIONS"):
            inherited = [name for each in own if _has_options(each) for name in inspect.signature(each).parameters]
            known, is_open = [*known, *inherited, *(field.name for field in fields(cls.OPTIONS))], False

        @functools.wraps(construct)
        def check_and_construct(self_: Any, *args: Any, **options: Any) -> None:
            unknown = [] if is_open else [name for name in options if name not in known]
            if unknown:
                raise UnknownOptionError(self._explain(cls.__name__, unknown[0], known))
            construct(self_, *args, **options)

        return check_and_construct

    def _explain(self, name: str, option: str, known: list[str]) -> str:
        """Return a message about an unknown option: another project's class that has it, or the nearest names."""
        start = f"{_SCOPE}.{name} has no option {option!r}"
        for scope, words in _OTHERS.items():
            child = self.parent.children.get(scope)
            other = child.get(name) if child is not None else None
            if other is not None and option in inspect.signature(other).parameters:
                is_default = scope == "mmpose"
                return f"{start}: {words} has it, type={(name if is_default else f'{scope}.{name}')!r}."
        near = get_close_matches(option, known, n=3)
        return f"{start}; the nearest: {', '.join(near)}." if near else f"{start}."


def _has_options(cls: type) -> bool:
    """Return whether a class has a constructor with options, unlike ``object`` and torch's modules."""
    return cls is not object and not cls.__module__.startswith("torch.")


def _make_child(parent: root.Registry, *locations: str) -> OptionRegistry:
    """Return a child of ``parent`` in our scope that imports ``locations`` on the first look-up."""
    return OptionRegistry(
        parent.name, parent=parent, scope=_SCOPE, locations=[f"{_SCOPE}.{where}" for where in locations]
    )


MODELS = _make_child(root.MODELS, "models", "data.preprocessor", "engine.moving_average")
TASK_UTILS = _make_child(root.TASK_UTILS, "models")
HOOKS = _make_child(root.HOOKS, "engine.hooks", "engine.interruption")
LOOPS = _make_child(root.LOOPS, "engine.interruption")
OPTIM_WRAPPERS = _make_child(root.OPTIM_WRAPPERS, "engine.optim_wrapper")
OPTIM_WRAPPER_CONSTRUCTORS = _make_child(root.OPTIM_WRAPPER_CONSTRUCTORS, "engine.parameter_groups")
FUNCTIONS = _make_child(root.FUNCTIONS, "data.batch_collation")
DATASETS = _make_child(root.DATASETS, "data")
TRANSFORMS = _make_child(root.TRANSFORMS, "data", "data.transforms")
METRICS = _make_child(root.METRICS, "evaluation")
VISBACKENDS = _make_child(root.VISBACKENDS, "engine.log_backends")
