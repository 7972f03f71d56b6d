"""Which keys a section of a config may have beyond those written in it: its class's parameters."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from rtmo_plugin.config.registered_classes import find_class
from rtmo_plugin.models.heads.dcc import DynamicCoordinateClassifier
from rtmo_plugin.models.heads.rtmo_head import OWNED_OPTIONS
from rtmo_plugin.models.heads.rtmo_head_module import RTMOHeadModule
from rtmo_plugin.models.heads.stages import DEFAULT_STAGES, LOSS_NAMES, Stage

# Readers of the sections that name no class, or a default one: MMEngine's Runner, and the head.
_READERS: Mapping[str, tuple[Any, ...]] = {
    "train_cfg": (EpochBasedTrainLoop,),
    "optim_wrapper": (OptimWrapper,),
    "randomness": (Runner.set_randomness,),
    "train_dataloader": (DataLoader, Runner.build_dataloader),
    "val_dataloader": (DataLoader, Runner.build_dataloader),
    "test_dataloader": (DataLoader, Runner.build_dataloader),
    "model.head.dcc": (DynamicCoordinateClassifier,),
    "model.head.head_module": (RTMOHeadModule,),
    **{f"model.head.stages.{stage}": (Stage,) for stage in DEFAULT_STAGES},
}
_EXTRA_KEYS: Mapping[str, tuple[str, ...]] = {
    "": (
        "custom_imports",
        "compile",
        "model_wrapper_cfg",
        "activation_checkpointing",
        "efficient_conv_bn_eval",
        "find_unused_parameters",
        "sync_bn",
    ),
    "train_cfg": ("by_epoch", "type"),
    "optim_wrapper": ("constructor", "type", "optimizer", "paramwise_cfg", "clip_grad"),
    "auto_scale_lr": ("enable", "base_batch_size"),
    "model.head.stages": tuple(DEFAULT_STAGES),
    **{f"model.head.stages.{stage}.weights": LOSS_NAMES for stage in DEFAULT_STAGES},
    **dict.fromkeys(("train_dataloader", "val_dataloader", "test_dataloader"), ("num_batch_per_epoch",)),
}
_NOT_CONFIGURED = ("self", "cls", "runner", "args", "kwargs", "params")


_OWNERS = {
    f"model.head.{part}.{name}": f"model.head.{owner}"
    for part, owners in OWNED_OPTIONS.items()
    for name, owner in owners.items()
}


def find_owner(key: str) -> str | None:
    """Return the key from which the value of a dotted ``key`` follows, or None for a key of its own."""
    return _OWNERS.get(key)


def find_runner_parameters() -> list[str]:
    """Return the top-level keys that MMEngine's Runner reads."""
    return [*_list_parameters(Runner), *_EXTRA_KEYS[""]]


def find_parameters(section: Mapping[str, Any], path: list[str]) -> list[str]:
    """Return the parameters of whatever is built from ``section``, which stands at ``path``.

    Args:
        section: A section of a config; its ``type`` names a class.
        path: The keys that lead to it.

    Returns:
        Names that may be set; none if the section is a plain dict.
    """
    where = ".".join(path)
    builders: tuple[Any, ...] = _READERS.get(where, ())
    kind = section.get("type")
    found = find_class(kind) if isinstance(kind, str) else kind if inspect.isclass(kind) else None
    names = [name for builder in (*builders, *([found] if found else [])) for name in _list_parameters(builder)]
    extra = ["priority"] if path[0] in ("default_hooks", "custom_hooks") and len(path) == 2 else []
    return [name for name in (*names, *_EXTRA_KEYS.get(where, ()), *extra) if f"{where}.{name}" not in _OWNERS]


def _list_parameters(builder: Any) -> list[str]:
    """Return the names of the parameters of ``builder``, through its bases where it takes ``**kwargs``.

    A class whose ``**kwargs`` are the fields of a dataclass names it ``OPTIONS``.
    """
    options = getattr(builder, "OPTIONS", None)
    names = [field.name for field in dataclasses.fields(options)] if options else []
    bases = builder.__mro__ if inspect.isclass(builder) else ()
    for function in [vars(base)["__init__"] for base in bases if "__init__" in vars(base)] or [builder]:
        parameters = inspect.signature(function).parameters.values()
        names += [p.name for p in parameters if p.name not in (*names, *_NOT_CONFIGURED)]
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return names
