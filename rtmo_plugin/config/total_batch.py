"""The recipe's total batch on fewer GPUs: gradients of several small batches make one step."""

from __future__ import annotations

import os

from mmengine.config import Config

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.number_ranges import COUNT

# Where a launcher says how many processes there are.
_WORLD_SIZES = {"pytorch": "WORLD_SIZE", "slurm": "SLURM_NTASKS", "mpi": "OMPI_COMM_WORLD_SIZE"}


def set_total_batch(cfg: Config, total_batch: int | None) -> None:
    """Make one optimizer step of ``total_batch`` images.

    The average of weights and ``--auto-scale-lr`` count such steps too, as if the batch were one.

    Args:
        cfg: Config to edit, with ``launcher``; each process loads ``train_dataloader.batch_size`` images at a time.
        total_batch: Images in a step, of all processes; None leaves everything as it is.

    Raises:
        ConfigError: ``total_batch`` is not a multiple of what is loaded at a time.
    """
    if total_batch is None:
        return
    COUNT.check("total_batch", total_batch)
    num_processes = count_processes(cfg)
    loaded = cfg.train_dataloader.batch_size * num_processes
    if total_batch < loaded or total_batch % loaded:
        raise ConfigError(
            f"--total-batch {total_batch} is not a multiple of the {loaded} images that are loaded at a time "
            f"({num_processes} x train_dataloader.batch_size): choose another of them."
        )
    num_batches = total_batch // loaded
    cfg.optim_wrapper.accumulative_counts = num_batches
    if "base_batch_size" in (cfg.get("auto_scale_lr") or {}):
        cfg.auto_scale_lr.base_batch_size = cfg.auto_scale_lr.base_batch_size / num_batches
    hooks = [*(cfg.get("custom_hooks") or []), {"type": "rtmo_plugin.AccumulationHook"}]
    for place, hook in enumerate(hooks):
        if hook.get("type") == "EMAHook":  # in ``num_batches`` updates it goes as far as before in one
            slower = {"momentum": 1 - (1 - hook.get("momentum", 2e-4)) ** (1 / num_batches)}
            gamma = {"gamma": hook["gamma"] * num_batches} if "gamma" in hook else {}
            hooks[place] = {**hook, **slower, **gamma}
    cfg.custom_hooks = hooks


def count_processes(cfg: Config) -> int:
    """Return the number of processes that ``cfg.launcher`` started."""
    return int(os.environ.get(_WORLD_SIZES.get(cfg.launcher, ""), "1"))
