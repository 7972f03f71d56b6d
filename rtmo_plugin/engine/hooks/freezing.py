"""Frozen parts of a model: training leaves their weights and their batch norm statistics as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from rtmo_plugin.errors import CheckpointError, ConfigError
from rtmo_plugin.registry import HOOKS

FREEZE_HOOK = "rtmo_plugin.FreezeHook"
_NOTE = "frozen"


@HOOKS.register_module()
class FreezeHook(Hook):
    """Train with some parts of the model frozen (see ``freeze_parts``).

    Frozen parts compute as in prediction: batch norm uses the statistics that it has. ``rtmo train`` freezes them
    before the optimizer is built, which does not get their weights.

    Args:
        parts: Names of modules, such as ``backbone`` and ``neck.encoder``.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        self._names = list(parts)
        self._parts: list[nn.Module] = []
        self._buffers: list[tuple[Tensor, Tensor]] = []

    def before_train(self, runner: Runner) -> None:
        """Freeze the parts, where another runner than that of ``rtmo train`` has not done so.

        Raises:
            ConfigError: See ``freeze_parts``; or the model was wrapped for several processes before.
        """
        model: nn.Module = getattr(runner.model, "module", runner.model)
        self._parts = [model.get_submodule(name) for name in check_parts(model, self._names)]
        if is_model_wrapper(runner.model) and any(p.requires_grad for part in self._parts for p in part.parameters()):
            raise ConfigError("FreezeHook with several processes needs rtmo train, which freezes before they start.")
        freeze_parts(model, self._names)
        self._buffers = [(buffer, buffer.clone()) for part in self._parts for buffer in part.buffers()]

    def before_train_iter(self, *_: Any, **__: Any) -> None:
        """Let frozen parts compute as in prediction; the loop puts the whole model into training mode each epoch."""
        for part in self._parts:
            if part.training:
                part.eval()

    @torch.no_grad()
    def after_train_epoch(self, *_: Any, **__: Any) -> None:
        """Undo the rounding of ``SyncBuffersHook``, which averages equal statistics of several processes."""
        for buffer, kept in self._buffers:
            buffer.copy_(kept)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note the parts in the checkpoint, whose optimizer state lacks their weights."""
        checkpoint["meta"][_NOTE] = self._names


def find_frozen_parts(cfg: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the parts that ``FreezeHook`` freezes in a config."""
    hooks = [hook for hook in cfg.get("custom_hooks") or () if isinstance(hook, Mapping)]
    return tuple(name for hook in hooks if hook.get("type") == FREEZE_HOOK for name in hook.get("parts", ()))


def freeze_parts(model: nn.Module, names: Sequence[str]) -> None:
    """Freeze parts of a model: no gradients for their weights, and no training mode for their modules.

    Args:
        model: Model, not yet wrapped for several processes.
        names: Names of modules.

    Raises:
        ConfigError: A name is not that of a part with weights, or nothing is left to train.
    """
    for name in check_parts(model, names):
        model.get_submodule(name).requires_grad_(False).eval()
    if names and not any(each.requires_grad for each in model.parameters()):
        raise ConfigError(f"--freeze {','.join(names)} leaves nothing to train: name fewer parts.")


def check_parts(model: nn.Module, names: Sequence[str]) -> Sequence[str]:
    """Return names of parts, all of which the model has.

    Raises:
        ConfigError: A name is not that of a part with weights; the message lists some that are.
    """
    known = [name for name, part in model.named_modules() if name and any(True for _ in part.parameters())]
    for name in names:
        if name in known:
            continue
        ancestors = [name.rsplit(".", k)[0] for k in range(1, name.count(".") + 1)]
        parent = next((each for each in ancestors if each in known), "")
        children = [each for each in known if each.rpartition(".")[0] == parent] or [parent]
        raise ConfigError(f"--freeze: the model has no part {name!r} with weights: choose among {', '.join(children)}.")
    return names


def check_same_parts(names: Sequence[str], meta: Mapping[str, Any], path: object) -> None:
    """Check that a run which resumes has the frozen parts of the one that wrote its checkpoint.

    Args:
        names: Names of the frozen parts of the run.
        meta: Notes of the checkpoint.
        path: Path of the checkpoint, for the message.

    Raises:
        CheckpointError: The parts differ: the optimizer state is of other weights.
    """
    before = meta.get(_NOTE) or []
    if set(before) != set(names):
        remedy = f"give --freeze {','.join(before)}" if before else "leave out --freeze"
        raise CheckpointError(
            f"{path} was trained with {_describe(before)} frozen, and this run is to continue it with "
            f"{_describe(names)} frozen: {remedy}, or start from its weights with --load-from."
        )


def describe_frozen(model: nn.Module, names: Sequence[str]) -> str:
    """Return a line that names the frozen parts and their share of the model's weights.

    Examples:
        >>> model = nn.ModuleDict({"backbone": nn.Linear(999, 1000), "head": nn.Linear(9, 1)})
        >>> describe_frozen(model, ["backbone"])
        'frozen: backbone (1,000,000 of 1,000,010 weights)'
    """
    frozen = {each for name in names for each in model.get_submodule(name).parameters()}  # parts may contain others
    counts = [sum(each.numel() for each in weights) for weights in (frozen, model.parameters())]
    return f"frozen: {', '.join(names)} ({counts[0]:,} of {counts[1]:,} weights)"


def _describe(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
