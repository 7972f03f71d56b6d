"""Batch norm statistics of every process in a checkpoint that is written within an epoch."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from torch import Tensor, distributed

from rtmo_plugin.registry import HOOKS

_KEY = "process_buffers"


@HOOKS.register_module()
class ProcessBuffersHook(Hook):
    """Keep the buffers of each process, such as batch norm statistics, when several stop within an epoch.

    They differ until the end of the epoch, where ``SyncBuffersHook`` averages them, and a checkpoint has those of the
    first process only.
    """

    def __init__(self) -> None:
        self._states: list[dict[str, Tensor]] | None = None

    def gather(self, runner: Runner, group: Any) -> None:
        """Collect the buffers for the checkpoint that is written next; all processes call this together.

        Args:
            runner: Runner of the training.
            group: Process group on CPUs, or None for one process.
        """
        if group is None:
            return
        own = {name: buffer.cpu() for name, buffer in _list_buffers(runner).items()}
        states: list[Any] | None = [None] * get_world_size() if get_rank() == 0 else None
        distributed.gather_object(own, states, dst=0, group=group)
        self._states = states

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add the buffers that were collected."""
        if self._states is not None:
            checkpoint[_KEY], self._states = self._states, None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember the buffers of a run of as many processes."""
        states = checkpoint.get(_KEY) or []
        self._states = states if len(states) == get_world_size() else None

    @torch.no_grad()
    def before_train(self, runner: Runner) -> None:
        """Give this process the buffers that it had, unless its epoch begins again."""
        states, self._states = self._states, None
        if states is not None and getattr(runner.train_loop, "first_batch", False):
            kept = states[get_rank()]
            for name, buffer in _list_buffers(runner).items():
                buffer.copy_(kept[name])


def _list_buffers(runner: Runner) -> dict[str, Tensor]:
    """Return the buffers of the model and of its moving average by name."""
    model: Any = getattr(runner.model, "module", runner.model)
    modules = [model, *(hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook))]
    return {f"{number} {name}": each for number, module in enumerate(modules) for name, each in module.named_buffers()}
