"""Dry run of a training: its first steps, their speed and memory, and the hours that the whole schedule will take."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.engine.hooks.progress import ProgressBarHook
from rtmo_plugin.engine.hooks.training_stages import TrainingStageHook
from rtmo_plugin.engine.resuming import TrainingStart
from rtmo_plugin.engine.runner import QuietRunner
from rtmo_plugin.engine.training import open_training
from rtmo_plugin.errors import InterruptedRun
from rtmo_plugin.progress_bar import show_progress
from rtmo_plugin.runtime.engines.engine import count_cores
from rtmo_plugin.speed.machine import read_peak_memory
from rtmo_plugin.wording import count, format_hours

NUM_STEPS = 50
_LEAST_STEPS, _MOST_SECONDS = 6, 120.0
_WAITS_MUCH, _MEMORY_LEFT, _MEMORY_FULL = 0.1, 0.6, 0.9
_AMP_WRAPPERS = ("AmpOptimWrapper", "rtmo_plugin.AutocastOptimWrapper")


class _EnoughSteps(Exception):  # noqa: N818  (not an error: it ends the loop of a dry run)
    """The dry run has all its steps."""


@dataclass(frozen=True)
class StepTimes:
    """Times of training steps in seconds.

    Attributes:
        waits: Waiting time for the batch of each step. On GPUs it is the time without work, not that of the program.
        works: Time of the rest of each step.
    """

    waits: tuple[float, ...]
    works: tuple[float, ...]

    @property
    def wait(self) -> float:
        """Mean waiting time: loading workers deliver in bursts, so that most steps wait little, and some long."""
        return statistics.fmean(self.waits)

    @property
    def work(self) -> float:
        """Median time of the rest."""
        return statistics.median(self.works)

    @property
    def total(self) -> float:
        """Time of a step."""
        return self.wait + self.work

    @property
    def wait_share(self) -> float:
        """Share of the time that waits for data, 0 to 1."""
        return self.wait / self.total


class StepTimer(Hook):
    """Marks when the batch of a step has arrived and when the step has ended, and ends the run after some steps.

    On GPUs the marks are events in the stream of the training, so that nothing waits until the times are read.

    Args:
        num_steps: Number of steps.
        most_seconds: Time after which fewer steps are enough; None for no limit, as several processes need it.

    Attributes:
        first_step: Number of steps that were done before, in a resumed run.
    """

    first_step = 0

    priority = "LOWEST"  # after all other hooks, whose time belongs to the step

    def __init__(self, num_steps: int, most_seconds: float | None) -> None:
        self._num_steps, self._most_seconds = num_steps, most_seconds
        self._arrivals: list[Any] = []
        self._ends: list[Any] = []

    def before_train_epoch(self, runner: Runner) -> None:
        """Mark the beginning."""
        self.first_step = runner.iter
        self._begin = time.monotonic()
        self._bar = show_progress(desc="dry run", total=self._num_steps, unit="step", leave=False)
        self._ends.append(_mark())

    def before_train_iter(self, *_: Any, **__: Any) -> None:
        """Mark the arrival of a batch."""
        self._arrivals.append(_mark())

    def after_train_iter(self, runner: Runner, batch_idx: int, *_: Any, **__: Any) -> None:
        """Mark the end of a step.

        Raises:
            _EnoughSteps: It was the last one, of the dry run or of its epoch.
        """
        self._ends.append(_mark())
        self._bar.update()
        done = len(self._arrivals)
        is_late = self._most_seconds is not None and time.monotonic() - self._begin > self._most_seconds
        is_over = batch_idx + 1 == len(runner.train_loop.dataloader)  # checkpoints and validation would be next
        if done == self._num_steps or is_over or (is_late and done >= _LEAST_STEPS):
            raise _EnoughSteps

    def close(self) -> None:
        """Close the progress bar."""
        if hasattr(self, "_bar"):
            self._bar.close()

    def read(self, num_prefetched: int) -> StepTimes:
        """Return the times of the steps without the first ones.

        Args:
            num_prefetched: Batches that the workers have ready: so many steps do not wait, however slow the loading is.
        """
        if get_device() == "cuda":
            torch.cuda.synchronize()
        num_steps = len(self._arrivals)
        first = min(num_steps // 2, max(1, num_steps // 5, num_prefetched))
        return StepTimes(
            tuple(map(_find_seconds, self._ends[first:], self._arrivals[first:])),
            tuple(map(_find_seconds, self._arrivals[first:], self._ends[first + 1 :])),
        )


def _mark() -> Any:
    """Return the time on CPUs, and on GPUs an event, which notes the time when its turn comes."""
    if get_device() != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _find_seconds(start: Any, end: Any) -> float:
    return float(end - start if isinstance(start, float) else start.elapsed_time(end) / 1000)


@dataclass(frozen=True)
class TrainingSetup:
    """What advice depends on, besides the times.

    Attributes:
        device: ``cpu`` or ``cuda``.
        batch_size: Images that a process loads at a time.
        num_processes: Number of training processes.
        num_workers: Loading workers of a process.
        num_cores: Cores of the machine that a process may use.
        has_amp: Whether training is in half precision.
        has_cache: Whether decoded images are kept.
        gpu_mib: Peak GPU memory in MiB that PyTorch held, or None on CPUs.
        gpu_total_mib: Memory of the GPU in MiB, or None on CPUs.
    """

    device: str
    batch_size: int
    num_processes: int
    num_workers: int
    num_cores: int
    has_amp: bool
    has_cache: bool
    gpu_mib: int | None = None
    gpu_total_mib: int | None = None


def advise(times: StepTimes, setup: TrainingSetup) -> str:
    """Return what would make a training faster, with the reason.

    Examples:
        >>> setup = TrainingSetup("cuda", 32, 1, 2, 16, has_amp=True, has_cache=False)
        >>> print(advise(StepTimes((0.06,), (0.04,)), setup))
        raise num_workers to 5 (--cfg-options train_dataloader.num_workers=5): 60 % of the time waits for data
    """
    if times.wait_share > _WAITS_MUCH:
        return _advise_loading(times, setup)
    used = setup.gpu_mib / setup.gpu_total_mib if setup.gpu_mib and setup.gpu_total_mib else None
    computing = f"{_percent(1 - times.wait_share)} of the time is computing"
    if not setup.has_amp:
        return f"--amp: {computing}, and half precision makes it faster on GPUs and on processors with bfloat16"
    if used is not None and used < _MEMORY_LEFT:
        return f"a larger batch (--batch-size auto): {_percent(used)} of the GPU's memory is in use"
    if used is not None and used > _MEMORY_FULL:
        return f"nothing, but {_percent(used)} of the GPU's memory is in use: a smaller batch is safer"
    return f"nothing: {computing}, and --amp is on"


def _advise_loading(times: StepTimes, setup: TrainingSetup) -> str:
    waiting = f"{_percent(times.wait_share)} of the time waits for data"
    most = max(1, setup.num_cores // setup.num_processes - (setup.device == "cuda"))
    # So many workers deliver a batch in the time of the work; without workers, the wait is that of one worker.
    needed = times.total * setup.num_workers / times.work if setup.num_workers else times.wait / times.work
    wanted = min(most, math.ceil(round(needed, 3)))
    if wanted > setup.num_workers:
        return f"raise num_workers to {wanted} (--cfg-options train_dataloader.num_workers={wanted}): {waiting}"
    cores = f"{count(setup.num_workers, 'worker')} on {count(setup.num_cores, 'core')}"
    if not setup.has_cache:
        return f"--cache-gb: {waiting}, there are {cores}, and decoded images need less of them"
    return f"more cores: {waiting} with {cores} and a cache"


@dataclass(frozen=True)
class DryRun:
    """Result of the first steps of a training.

    Attributes:
        num_steps: Number of steps that were measured.
        setup: Device, batch size, workers, precision and GPU memory.
        images_per_second: Throughput of all processes.
        step_seconds: Time of a step.
        wait_share: Share of the time that waits for data, 0 to 1.
        peak_memory_mib: Peak memory of this process without its workers in MiB, or None where the system does not tell.
        schedule: Length of the schedule that is left, such as "600 epochs, 1,061,400 steps".
        hours: Time of these steps.
        left_out: What the hours do not contain, or what the measurement did not see.
        advice: What would make the training faster, and why.
    """

    num_steps: int
    setup: TrainingSetup
    images_per_second: float
    step_seconds: float
    wait_share: float
    peak_memory_mib: int | None
    schedule: str
    hours: float
    left_out: tuple[str, ...]
    advice: str

    def __str__(self) -> str:
        setup = self.setup
        batch = f"{setup.num_processes} x {setup.batch_size}" if setup.num_processes > 1 else f"{setup.batch_size}"
        speed = f"{self.images_per_second:.1f} images/s ({batch} in {self.step_seconds:.3g} s, {setup.device}, "
        lines = {
            "speed": f"{speed}{count(self.num_steps, 'step')} measured)",
            "waits for data": f"{_percent(self.wait_share)} of the time ({count(setup.num_workers, 'worker')})",
            "memory": "unknown" if self.peak_memory_mib is None else f"{self.peak_memory_mib:,} MiB, without workers",
            "GPU memory": setup.gpu_mib and f"{setup.gpu_mib:,} of {setup.gpu_total_mib:,} MiB",
            "whole training": f"{format_hours(self.hours)} ({self.schedule})",
            "not counted": "; ".join(self.left_out),
            "faster by": self.advice,
        }
        return "\n".join(f"{name + ':':<16}{value}" for name, value in lines.items() if value)

    def describe(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        values = asdict(self)
        return {**values.pop("setup"), **values}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def dry_run_training(cfg: Config, start: TrainingStart) -> DryRun:
    """Build a training with all its checks, train some steps and measure them; nothing is kept.

    It ends after 50 steps, at the end of an epoch, or (one process only) after two minutes.

    Args:
        cfg: Config that ``prepare_config`` returned; its start is set in place.
        start: Checkpoint or weights to start from; its ``overwrite`` removes nothing.

    Raises:
        UserError: The data, a checkpoint or the config is wrong.
        FloatingPointError: A loss is not finite.
        InterruptedRun: Ctrl-C was pressed, or SIGTERM came.
    """
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        open_training(cfg, start, output_dir=folder) as (runner, _),
    ):
        timer = StepTimer(NUM_STEPS, None if get_world_size() > 1 else _MOST_SECONDS)
        _train_steps(runner, timer)
        loader = runner.train_loop.dataloader
        times = timer.read((loader.prefetch_factor or 0) * loader.num_workers)
        return _summarize(runner, times, runner.max_iters - timer.first_step)


def _train_steps(runner: QuietRunner, timer: StepTimer) -> None:
    """Train until ``timer`` has enough steps."""
    runner.register_hook(timer)
    for hook in [each for each in runner.hooks if isinstance(each, ProgressBarHook)]:
        runner.hooks.remove(hook)  # it shows the whole schedule
    if get_device() == "cuda":
        torch.cuda.reset_peak_memory_stats()
    try:
        runner.train()
    except _EnoughSteps:
        pass
    except InterruptedRun as error:
        raise InterruptedRun("the dry run was interrupted, and nothing is kept", error.signal_number) from None
    finally:
        timer.close()


def _summarize(runner: QuietRunner, times: StepTimes, num_left: int) -> DryRun:
    """Return the result of a dry run; ``num_left`` steps were left at its beginning."""
    loader, num_processes = runner.train_loop.dataloader, get_world_size()
    gpu = torch.cuda.get_device_properties(torch.cuda.current_device()) if get_device() == "cuda" else None
    setup = TrainingSetup(
        device=get_device(),
        batch_size=loader.batch_size or runner.cfg.train_dataloader.batch_size,
        num_processes=num_processes,
        num_workers=loader.num_workers,
        num_cores=count_cores(),
        has_amp=runner.cfg.optim_wrapper.get("type") in _AMP_WRAPPERS,
        has_cache=any(part.get("cache_bytes") for part in walk_sections(runner.cfg.train_dataloader)),
        gpu_mib=torch.cuda.max_memory_reserved() >> 20 if gpu else None,
        gpu_total_mib=gpu.total_memory >> 20 if gpu else None,
    )
    return DryRun(
        num_steps=len(times.waits),
        setup=setup,
        images_per_second=setup.batch_size * num_processes / times.total,
        step_seconds=times.total,
        wait_share=times.wait_share,
        peak_memory_mib=read_peak_memory(),
        schedule=f"{count(runner.max_epochs - runner.epoch, 'epoch')}, {count(num_left, 'step')}",
        hours=num_left * times.total / 3600,
        left_out=tuple(_list_left_out(runner)),
        advice=advise(times, setup),
    )


def _list_left_out(runner: QuietRunner) -> Sequence[str]:
    """Return what the hours do not contain, and stages whose data were not measured."""
    found = []
    if runner.val_loop is not None:
        found.append(f"validation on {count(len(runner.val_loop.dataloader.dataset), 'image')}")
    for hook in runner.hooks:
        if isinstance(hook, TrainingStageHook):
            found += [
                f"stage {stage.name} from epoch {stage.begin + 1} has other data, counted at this speed"
                for stage in hook.list_data_changes(runner.epoch)
            ]
    return found
