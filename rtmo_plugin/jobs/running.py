"""Runs jobs in this process or with the workers of Ray."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from filelock import FileLock, Timeout

from rtmo_plugin.errors import ConfigError, OutputError, StoppedError
from rtmo_plugin.jobs.job import Job
from rtmo_plugin.jobs.shard_files import ShardFiles, clear_running
from rtmo_plugin.jobs.worker import ShardReport, Worker


def run_job(job: Job, *, ray: str | None = None, **resources: Any) -> Iterator[ShardReport]:
    """Process the remaining shards of a job, and yield a report when each is done.

    Args:
        job: Job from ``open_job``.
        ray: None to run in this process; ``"local"`` to start Ray on this machine; or the address of a cluster,
            ``"auto"`` for the cluster of this machine.
        **resources: Arguments of ``rtmo_plugin.jobs.ray_driver.run_on_ray``.

    Raises:
        StoppedError: The remaining shards cannot be processed either, for example because the disk is full.
        ConfigError: Another process runs the job, or the cluster cannot be reached.
    """
    with _hold(job):
        damaged = job.find_damaged()
        for path in damaged:
            path.unlink(missing_ok=True)
        shards = job.find_remaining(damaged)
        reports: Iterable[ShardReport] = ()
        if shards and ray is None:
            reports = map(Worker(job.plan).run, shards)
        elif shards and ray is not None:
            from rtmo_plugin.jobs.ray_driver import run_on_ray  # needs Ray

            reports = run_on_ray(job.plan, shards, address=ray, **resources)
        for report in reports:
            if report.is_last:
                raise StoppedError(report.failure, exit_code=report.exit_code)
            ShardFiles(job.folder, report.number, job.plan.format).clear_crash_marks()  # so that a restart tries again
            yield report


@contextmanager
def _hold(job: Job) -> Iterator[None]:
    """Lock the job against other processes, and remove the unfinished files of crashed ones."""
    lock = FileLock(job.folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(f"Another process is at work on the job in {job.folder}.") from None
    except OSError as error:
        raise OutputError(f"{job.folder} cannot be written: {error.strerror}.") from error
    try:
        clear_running(job.folder)
        yield
    finally:
        lock.release()
