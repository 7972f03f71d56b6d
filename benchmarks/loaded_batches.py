"""Speed of the data loader: samples per second by number of workers, and what a sample costs the training process."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from benchmarks.training_samples import build_dataset, draw_coco_folder, load_ours
from rtmo_plugin.data.batch_collation import pack_batch
from rtmo_plugin.engine.memory import WorkerSetup
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.speed.rounds import Timing, time_alternately
from rtmo_plugin.speed.speed_report import SpeedReport
from rtmo_plugin.wording import count

_LEFT = "packed, left there"
_COLLATIONS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "packed": pack_batch,
    _LEFT: pack_batch,
    "sample by sample": pseudo_collate,
}
_COLUMNS = {
    "samples/s": ("samples_per_second", ".1f"),
    "least": ("least_samples_per_second", ".1f"),
    "most": ("most_samples_per_second", ".1f"),
    "CPU ms": ("process_ms_per_sample", ".3f"),
}


def run(
    *,
    data_root: str | Path | None = None,
    max_workers: int = 2,
    batch_size: int = 16,
    num_batches: int = 8,
    num_images: int = 64,
    rounds: int = 3,
    ready: bool = False,
) -> SpeedReport:
    """Load the same stage-1 batches of RTMO-s with each number of workers, packed and sample by sample, in turn.

    A batch is loaded when its images are one tensor in the memory of the training process; "left there" stands for
    packed batches whose images stay in the memory of the worker. The CPU time is that of the training process, without
    its workers.

    Args:
        data_root: Folder with ``coco/``; None for synthetic images.
        max_workers: Largest number of loading workers; every number from 0 is measured.
        batch_size: Samples in a batch.
        num_batches: Batches of each side in each round.
        num_images: Number of synthetic images.
        rounds: Number of runs of each side.
        ready: Whether the samples are prepared beforehand, so that only collation and transfer are measured.

    Raises:
        UserError: A number is not positive, or data are missing.
    """
    if min(max_workers, batch_size, num_batches, num_images, rounds) < 1:
        raise ConfigError("loading: all numbers must be at least 1.")
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    try:
        with contextlib.ExitStack() as stack:
            folder = data_root or stack.enter_context(draw_coco_folder(num_images))
            dataset = build_dataset(load_ours(folder))
            if ready:
                dataset = [dataset[index] for index in range(min(batch_size, len(dataset)))]
            sides = {
                f"{count(number, 'worker')}, {name}": _Loading(
                    dataset, number, collate, batch_size, num_batches, copies=name != _LEFT
                )
                for number in range(max_workers + 1)
                for name, collate in _COLLATIONS.items()
                if number or name != _LEFT
            }
            for load in sides.values():
                load()  # starts the workers
            timings, _ = time_alternately(sides, rounds)
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])
    return SpeedReport(
        title=f"{num_batches} batches of {batch_size} {'ready ' if ready else ''}stage-1 samples of RTMO-s, "
        f"640 x 640, from {len(dataset)} images",
        command=f"python -m benchmarks loading --max-workers {max_workers} --batch-size {batch_size} "
        f"--num-batches {num_batches} --rounds {rounds} "
        + (f"--num-images {num_images}" if data_root is None else f"--data-root {data_root}")
        + (" --ready" if ready else ""),
        columns=_COLUMNS,
        sides=tuple(_describe(timing, batch_size * num_batches) for timing in timings),
        settings={"batch_size": batch_size, "num_batches": num_batches, "rounds": rounds},
    )


class _Loading:
    """A data loader; a call loads all of its batches."""

    def __init__(
        self,
        dataset: Any,
        num_workers: int,
        collate: Callable[[Sequence[Any]], Any],
        batch_size: int,
        num_batches: int,
        *,
        copies: bool,
    ) -> None:
        indices = [index % len(dataset) for index in range(batch_size * num_batches)]
        self._copies = copies
        self._images = torch.empty(batch_size, 3, 640, 640, dtype=torch.uint8)
        self._loader = DataLoader(
            dataset,
            batch_sampler=[indices[start : start + batch_size] for start in range(0, len(indices), batch_size)],
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            collate_fn=collate,
            worker_init_fn=WorkerSetup(None),
        )

    def __call__(self) -> None:
        for batch in self._loader:
            images = batch["inputs"]
            if not self._copies:
                continue
            if isinstance(images, torch.Tensor):
                self._images.copy_(images)
            else:
                torch.stack(images, out=self._images)


def _describe(timing: Timing, num_samples: int) -> dict[str, Any]:
    return {
        "name": timing.name,
        "seconds": timing.seconds,
        "cpu_seconds": timing.cpu_seconds,
        "samples_per_second": num_samples / statistics.median(timing.seconds),
        "least_samples_per_second": num_samples / max(timing.seconds),
        "most_samples_per_second": num_samples / min(timing.seconds),
        "process_ms_per_sample": 1000 * timing.median_cpu / num_samples,
    }
