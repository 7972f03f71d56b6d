"""Several processes: training on CPUs, which MMEngine supports on GPUs only, and numbers that all of them agree on."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.model import MMDistributedDataParallel
from torch import Tensor, distributed, nn

from rtmo_plugin.engine.sync_batch_norm import synchronize_batch_norms


def join_processes() -> None:
    """Join the other processes that torchrun started; MMEngine asks for a GPU first."""
    if not distributed.is_initialized():
        distributed.init_process_group("gloo")


def wrap_for_cpus(model: nn.Module, cfg: Config) -> nn.Module:
    """Return ``model`` with gradients that are averaged over all processes.

    Args:
        model: Model to train.
        cfg: Config; ``sync_bn`` and ``find_unused_parameters`` have the meaning that MMEngine gives them.
    """
    if cfg.get("sync_bn"):
        model = synchronize_batch_norms(model)
    find_unused = cfg.get("find_unused_parameters", False)
    wrapped: nn.Module = MMDistributedDataParallel(model, broadcast_buffers=False, find_unused_parameters=find_unused)
    return wrapped


class AgreedNumber:
    """The largest of the numbers that processes have, which becomes the number of all of them.

    All processes create it together, and call its methods equally often.  The numbers travel on CPUs and in a group of
    their own, beside the gradients.

    Attributes:
        group: Process group, or None for one process.
    """

    def __init__(self) -> None:
        self.group: Any = distributed.new_group(backend="gloo") if get_world_size() > 1 else None
        self._agreed = 0
        self._pending: tuple[Any, Tensor] | None = None

    def exchange(self, number: int) -> int:
        """Send a number, and return the largest so far: with several processes, that of earlier calls.

        So nothing waits for this number, which arrives while the next step is computed.
        """
        if self.group is None:
            self._agreed = max(self._agreed, number)
            return self._agreed
        self._receive()
        value = torch.tensor(number)
        work = distributed.all_reduce(value, distributed.ReduceOp.MAX, self.group, async_op=True)
        self._pending = work, value
        return self._agreed

    def settle(self, number: int) -> int:
        """Send a number, wait for all processes, and return the largest so far."""
        self.exchange(number)
        self._receive()
        return self._agreed

    def _receive(self) -> None:
        if self._pending is not None:
            work, value = self._pending
            work.wait()
            self._agreed, self._pending = max(self._agreed, int(value)), None
