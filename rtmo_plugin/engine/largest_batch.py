"""The largest batch that fits into the memory of the GPU, found by training steps of the real model."""

from __future__ import annotations

import contextlib
import copy
import gc
import io
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_reduce, init_dist, is_distributed, is_main_process
from mmengine.runner import Runner

from rtmo_plugin.config.edits import Edit, prepare_config
from rtmo_plugin.config.total_batch import count_processes
from rtmo_plugin.engine.hooks.network_graphs import GraphsHook
from rtmo_plugin.engine.recordings import is_out_of_memory
from rtmo_plugin.engine.resuming import TrainingStart
from rtmo_plugin.engine.training import open_training
from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.number_ranges import BATCH_SIZE, BATCH_SIZE_OR_AUTO, COUNT

# The rest is for other sizes of images, whose memory has other gaps, and for what several processes exchange.
_SHARE_OF_MEMORY = 0.9
_NUM_SAMPLES, _NUM_CROWDED, _NUM_STEPS = 64, 8, 3
# Where a launcher says which GPU of its machine belongs to a process.
_LOCAL_RANKS = {"pytorch": "LOCAL_RANK", "slurm": "SLURM_LOCALID", "mpi": "OMPI_COMM_WORLD_LOCAL_RANK"}


def choose_batch_size(
    given: int | str | None, config: str | Path | Config, edits: Sequence[Edit], options: Mapping[str, Any]
) -> int | None:
    """Return the number of images that each process loads at a time; None for the config's.

    Args:
        given: Number, or ``"auto"`` for the most that the GPU's memory has room for.
        config: Config of the training.
        edits: Edits of the training, see ``list_training_edits``.
        options: Options of ``prepare_config``.

    Raises:
        UserError: ``given`` is neither, or ``"auto"`` cannot be found.
    """
    if given is not None:
        BATCH_SIZE_OR_AUTO.check("batch_size", given)
    if not isinstance(given, str):
        return given
    cfg = prepare_config(config, edits, **{**options, "total_batch": None})
    return find_batch_size(cfg, options.get("total_batch"))


def find_batch_size(cfg: Config, total_batch: int | None = None) -> int:
    """Return the largest number of images that each process can load at a time; no GPU runs out of memory.

    The model of the config is trained for some steps with batches of growing size, of the largest images of multi-scale
    training and the most crowded of some samples, with CUDA graphs if the training has them. ``--compile`` needs less
    memory and is not tried.

    Args:
        cfg: Config that ``prepare_config`` returned, without a total batch; it is not changed.
        total_batch: Images in an optimizer step, of all processes: the result divides them evenly.

    Raises:
        ConfigError: The machine has no GPU, or not even the smallest batch fits.
        UserError: The data or the config is wrong.
    """
    if get_device() != "cuda":
        raise ConfigError("--batch-size auto needs a GPU, whose memory has a fixed limit: on CPUs name a number.")
    num_processes = count_processes(cfg)
    rank = os.environ.get(_LOCAL_RANKS.get(cfg.launcher, ""), "0")
    torch.cuda.set_device(int(rank) % torch.cuda.device_count())
    torch.cuda.set_per_process_memory_fraction(_SHARE_OF_MEMORY)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),  # the training will say the same
            tempfile.TemporaryDirectory() as folder,
            open_training(plan_trial(cfg, folder), TrainingStart(from_scratch=True)) as (runner, _),
        ):
            most = len(runner.train_loop.dataloader.dataset) // num_processes
            size = find_largest_batch(prepare_trial(runner), list_batch_sizes(most, num_processes, total_batch))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    del runner
    _free_memory()
    if cfg.launcher != "none":  # all processes take the smallest of their sizes
        if not is_distributed():
            init_dist(cfg.launcher, **(cfg.get("env_cfg") or {}).get("dist_cfg", {"backend": "nccl"}))
        smallest = torch.tensor(size, device=get_device())
        all_reduce(smallest, "min")
        size = int(smallest)
    if is_main_process():
        print(f"--batch-size auto: {size} images fit into the memory of the GPU")
    return size


def list_batch_sizes(most: int, num_processes: int = 1, total_batch: int | None = None) -> list[int]:
    """Return the batch sizes to choose from: powers of two and those halfway between, or divisors of a total batch.

    Args:
        most: Largest size, such as the number of images of a process.
        num_processes: Number of processes.
        total_batch: Images in an optimizer step, of all processes.

    Examples:
        >>> list_batch_sizes(16)
        [1, 2, 3, 4, 6, 8, 12, 16]
        >>> list_batch_sizes(1000, num_processes=2, total_batch=24)
        [1, 2, 3, 4, 6, 12]
    """
    most = min(max(most, 1), int(BATCH_SIZE.most))
    if total_batch is None:
        powers = [2**power for power in range(most.bit_length())]
        return sorted(size for size in {*powers, *(3 * power for power in powers)} if size <= most)
    COUNT.check("total_batch", total_batch)
    share = total_batch // num_processes
    if total_batch % num_processes:
        raise ConfigError(f"--total-batch {total_batch} is not a multiple of the {num_processes} processes.")
    return [size for size in range(1, min(share, most) + 1) if share % size == 0]


def find_largest_batch(train: Callable[[int], object], sizes: Sequence[int]) -> int:
    """Return the largest of some batch sizes with which ``train`` does not run out of memory.

    Sizes grow until one does not fit; a search between it and the last one that fits follows.

    Args:
        train: Function that trains with a batch of a size; an error of ``is_out_of_memory`` says that it is too large.
        sizes: Sizes in increasing order.

    Raises:
        ConfigError: None of them fits.
    """
    fits, fails = -1, len(sizes)  # positions of the largest that fits and of the smallest that does not
    while fails - fits > 1:
        tried = min(fits + 2, fails - 1) if fails == len(sizes) else (fits + fails) // 2
        if _has_memory_for(train, sizes[tried]):
            fits = tried
        else:
            fails = tried
    if fits < 0:
        raise ConfigError(
            f"A batch of {sizes[0]} does not fit into the memory of the GPU: choose a smaller model, or --amp."
        )
    return sizes[fits]


def _has_memory_for(train: Callable[[int], object], size: int) -> bool:
    try:
        train(size)
        has_memory = True
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        has_memory = False
    if not has_memory:  # after the exception, whose frames hold tensors
        _free_memory()
    return has_memory


def _free_memory() -> None:
    """Return the GPU memory of tensors that nothing refers to."""
    if get_device() == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def plan_trial(cfg: Config, folder: str) -> Config:
    """Return the config of the training in one process that tries batch sizes.

    Args:
        cfg: Config of the training.
        folder: Folder for its files.

    Returns:
        A copy that starts from random weights, without workers and compilation; multi-scale training has its largest
        size only.
    """
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict({"work_dir": folder, "launcher": "none", "resume": False, "load_from": None})
    loader = {**cfg.train_dataloader, "batch_size": 1, "num_workers": 0, "persistent_workers": False}
    loader.pop("prefetch_factor", None)
    cfg.train_dataloader = loader
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    hooks = cfg.get("custom_hooks") or []
    cfg.custom_hooks = [hook for hook in hooks if hook.get("type") != "rtmo_plugin.CompileHook"]
    for augment in (cfg.model.get("data_preprocessor") or {}).get("batch_augments") or ():
        if "random_size_range" in augment:
            largest = augment["random_size_range"][1]
            augment.update(random_size_range=(largest, largest), interval=1)
    return cfg


def prepare_trial(runner: Runner) -> Callable[[int], None]:
    """Return a function that trains some steps with a batch of a size, made of the most crowded of some samples.

    Args:
        runner: Runner of ``plan_trial``.

    Raises:
        DataError: No sample could be made.
    """
    loader = runner.train_loop.dataloader
    indices = range(min(_NUM_SAMPLES, len(loader.dataset)))
    samples = [sample for sample in map(loader.dataset.__getitem__, indices) if sample is not None]
    if not samples:
        raise DataError("--batch-size auto: no training sample can be made of the first images.")
    samples.sort(key=lambda sample: len(sample["data_samples"].gt_instance_labels.labels), reverse=True)
    crowded = samples[:_NUM_CROWDED]
    runner.call_hook("before_run")
    runner.message_hub.update_info("iter", 1)  # multi-scale training begins after the first step
    runner.optim_wrapper.initialize_count_status(runner.model, 0, 10**6)
    runner.model.train()
    graphs = [hook for hook in runner.hooks if isinstance(hook, GraphsHook)]

    def train(size: int) -> None:
        runner.optim_wrapper.zero_grad()
        for hook in graphs:
            hook.before_train(runner)
        try:
            for num_images in [size] * _NUM_STEPS + [size - 1] * (size > 1):  # as the last batch of an epoch
                batch = loader.collate_fn([crowded[index % len(crowded)] for index in range(num_images)])
                runner.model.train_step(batch, runner.optim_wrapper)
            if getattr(vars(runner.model).get("extract_feat"), "lacks_memory", False):
                raise torch.cuda.OutOfMemoryError("There is no memory for CUDA graphs.")
        finally:
            for hook in graphs:
                hook.after_train(runner)

    return train
