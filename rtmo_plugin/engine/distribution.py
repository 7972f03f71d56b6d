"""Training with several processes on CPUs, which MMEngine supports on GPUs only."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from torch import distributed, nn

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
