"""A job on Ray: Ray Data processes rows, which are shards, with actors that have one engine each.

Ray restarts an actor that crashed, and gives it its shard again, even if the shard was done. So the files of the
shards say what is done; Ray's own checkpoints of rows (beta in 2.60) are not used.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rtmo_plugin.checkpoints.model_names import is_exported
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.jobs.shards import Shard
from rtmo_plugin.jobs.worker import Plan, ShardReport, Worker
from rtmo_plugin.ray_start import LOCAL, import_ray, start_ray

_MAX_BLOCKS = 10_000  # Ray keeps a few kB for each


class RayWorker:
    """A worker as an actor of Ray Data; its engine has one thread per CPU of the actor.

    Args:
        plan: Plan of the job.
        cpus: Number of CPUs that Ray gives the actor.
    """

    def __init__(self, plan: Plan, cpus: float) -> None:
        threads = {"threads": max(1, int(cpus))} if is_exported(plan.model) else {}
        self._plan = replace(plan, options={**threads, **plan.options})
        self._worker = Worker(self._plan)
        self._stopped: ShardReport | None = None

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        """Process the shard of a row; after a failure that ends the job, only report that failure."""
        shard = Shard.from_json(row["shard"])
        if self._stopped is not None:
            return {"report": replace(self._stopped, number=shard.number).to_json()}
        try:
            os.chdir(self._plan.current)
        except OSError as error:
            failure = f"{socket.gethostname()} has no folder {self._plan.current} to work in: {error.strerror}."
            report = ShardReport(shard.number, failure=failure, is_last=True)
        else:
            report = self._worker.run(shard)
        self._stopped = report if report.is_last else None
        return {"report": report.to_json()}


def run_on_ray(
    plan: Plan,
    shards: Sequence[Shard],
    *,
    address: str = LOCAL,
    workers: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
) -> Iterator[ShardReport]:
    """Process shards on Ray, and yield a report when each is done, in any order.

    Args:
        plan: Plan of the job.
        shards: Shards to process.
        address: Address of a cluster; ``"local"`` starts Ray on this machine, and stops it at the end.
        workers: Number of actors, each with an engine. Default: as many as the CPUs or GPUs allow.
        cpus: Number of CPUs per worker.
        gpus: Number of GPUs per worker.

    Raises:
        ConfigError: Ray is not installed, the cluster cannot be reached, or it is too small for the workers.
    """
    ray = import_ray_data()
    with _connect(ray, address, None if workers is None else math.ceil(cpus * workers)):
        workers = _choose_workers(ray.cluster_resources(), workers, cpus, gpus, address == LOCAL)
        pool = ray.data.ActorPoolStrategy(size=min(workers, len(shards)), max_tasks_in_flight_per_actor=1)
        rows = [{"shard": shard.to_json()} for shard in shards]
        reports = ray.data.from_items(rows, override_num_blocks=min(len(rows), _MAX_BLOCKS)).map(
            RayWorker, fn_constructor_args=(plan, cpus), compute=pool, num_cpus=cpus, num_gpus=gpus
        )
        for row in reports.iter_rows():
            yield ShardReport.from_json(row["report"])


def _choose_workers(resources: dict[str, float], workers: int | None, cpus: float, gpus: float, is_local: bool) -> int:
    """Return the number of workers.

    Raises:
        ConfigError: The machine is too small for them. A cluster may grow, so it is not checked for a given number.
    """
    of_cpus = resources.get("CPU", 0) // cpus if cpus else math.inf
    of_gpus = resources.get("GPU", 0) // gpus if gpus else math.inf
    most = min(of_cpus, of_gpus)
    if (workers is None and not 1 <= most < math.inf) or (workers and is_local and workers > most):
        here = f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
        raise ConfigError(f"Ray has {here} here: too little for {workers or 1} workers of {cpus:g} and {gpus:g} each.")
    return int(most) if workers is None else workers


@contextmanager
def _connect(ray: Any, address: str, num_cpus: int | None) -> Iterator[None]:
    """Connect to Ray, unless this process is connected, and restore the previous state afterwards."""
    context, is_ours = ray.data.DataContext.get_current(), not ray.is_initialized()
    bars, context.enable_progress_bars = context.enable_progress_bars, False
    try:
        if is_ours:
            start_ray(ray, address, num_cpus)
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        yield
    finally:
        context.enable_progress_bars = bars
        if is_ours:
            ray.shutdown()


def import_ray_data() -> Any:
    """Return Ray with Ray Data.

    Raises:
        ConfigError: They are not installed.
    """
    return import_ray("data", ("pandas", "pyarrow"))
