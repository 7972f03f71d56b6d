"""Running of jobs, by this process or by the workers of Ray."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from filelock import FileLock, Timeout

from rtmo_plugin.errors import ConfigError, OutputError, StoppedError
from rtmo_plugin.jobs.job import Job
from rtmo_plugin.jobs.shard_files import ShardFiles, clear_running
from rtmo_plugin.jobs.shards import Shard
from rtmo_plugin.jobs.worker import Plan, ShardReport, Worker


def run_job(job: Job, *, ray: str | None = None, **resources: Any) -> Iterator[ShardReport]:
    """Do what is left of a job, and yield a report of each shard when it is done.

    Args:
        job: Job from ``open_job``.
        ray: None to do it in this process; ``"local"`` to start Ray on this machine; or the address of a cluster,
            ``"auto"`` for the one that this machine belongs to.
        **resources: Resources of Ray, see ``rtmo_plugin.jobs.ray_driver.run_on_ray``.

    Raises:
        StoppedError: A worker says that the rest cannot be done, for example because the disk is full.
        ConfigError: Another process is at work on the job, or there is no such cluster.
    """
    with _hold(job):
        damaged = job.find_damaged()
        for path in damaged:
            path.unlink(missing_ok=True)
        shards = job.find_remaining(damaged)
        if shards:
            reports = _run_here(job.plan, shards) if ray is None else _run_there(job.plan, shards, ray, resources)
            yield from _check(job, reports)


def _run_here(plan: Plan, shards: Sequence[Shard]) -> Iterator[ShardReport]:
    return map(Worker(plan).run, shards)


def _run_there(plan: Plan, shards: Sequence[Shard], address: str, resources: dict[str, Any]) -> Iterator[ShardReport]:
    from rtmo_plugin.jobs.ray_driver import run_on_ray  # which needs Ray

    return run_on_ray(plan, shards, address=address, **resources)


def _check(job: Job, reports: Iterable[ShardReport]) -> Iterator[ShardReport]:
    """Yield the reports, up to one after which nothing can follow."""
    for report in reports:
        if report.is_last:
            raise StoppedError(report.failure, exit_code=report.exit_code)
        ShardFiles(job.folder, report.number, job.plan.format).forget_deaths()  # so that a restart tries once more
        yield report


@contextmanager
def _hold(job: Job) -> Iterator[None]:
    """Keep other processes from the job meanwhile, and clear up what dead ones left."""
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
