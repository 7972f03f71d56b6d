"""``rtmo predict --records`` and ``--ray``: a job that writes files of records and can be resumed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rtmo_plugin.cli.arguments import choose_options
from rtmo_plugin.cli.output import count_detections, keep_stdout_for_json
from rtmo_plugin.errors import EXIT_FAILURE, ConfigError
from rtmo_plugin.number_ranges import COUNT, WORKERS
from rtmo_plugin.wording import count, show_path


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a job."""
    about = "Write records to files in --out instead of images. The same command again continues an unfinished job."
    group = parser.add_argument_group("many images", about)
    group.add_argument(
        "--records", choices=("jsonl", "parquet"), help="file format of the records: JSON lines or Parquet"
    )
    group.add_argument("--ray", action="store_true", help="run on all cores of this machine with Ray")
    group.add_argument(
        "--ray-address", metavar="ADDRESS", help="address of a Ray cluster to run on; auto: the cluster of this machine"
    )
    group.add_argument(
        "--workers",
        type=WORKERS,
        metavar="N",
        help="number of Ray workers, each with one engine of --threads threads (default: one per CPU or GPU)",
    )
    group.add_argument(
        "--shard-size", type=COUNT, metavar="N", help="images or frames per file of records (default: 1000)"
    )


def is_job(arguments: dict[str, Any]) -> bool:
    """Whether the arguments ask for a job.

    Raises:
        ConfigError: They do not, but some of them apply to jobs only.
    """
    uses_ray = bool(arguments["ray"] or arguments["ray_address"])
    if arguments["workers"] and not uses_ray:
        raise ConfigError("--workers applies to Ray only: add --ray.")
    if arguments["shard_size"] and not (uses_ray or arguments["records"]):
        raise ConfigError("--shard-size applies to files of records only: add --records jsonl.")
    return bool(uses_ray or arguments["records"])


def run_as_job(
    *,
    model: str,
    sources: Sequence[str],
    out: str | None,
    as_json: bool,
    ray: bool,
    ray_address: str | None,
    workers: int | None,
    **options: Any,
) -> int:
    """Run a new or unfinished job, and return the exit code."""
    from rtmo_plugin.jobs import open_job, run_job
    from rtmo_plugin.jobs.ray_driver import import_ray_data
    from rtmo_plugin.jobs.shard_files import read_number
    from rtmo_plugin.jobs.shards import list_inputs
    from rtmo_plugin.progress_bar import show_progress

    if out is None:
        raise ConfigError("Files of records need a folder: add --out DIR.")
    options = choose_options(options)
    if options.keys() & {"csv", "openpose"}:
        raise ConfigError("--csv and --openpose cannot be combined with --records or --ray: leave them out.")
    if options.pop("uncertainty", False):
        raise ConfigError("--uncertainty is for images and videos, and files of records do not hold it.")
    if ray or ray_address:
        import_ray_data()  # a missing package is found before a folder is made
    job = open_job(model, [name for source in sources for name in list_inputs(source)], out, **options)
    resources: dict[str, Any] = {}
    if ray or ray_address:
        is_gpu = str(options.get("device", "")).startswith("cuda")
        resources = {"ray": ray_address or "local", "workers": workers}
        resources |= {"cpus": options.get("threads", 1), "gpus": int(is_gpu)}
    damaged = job.find_damaged()
    for path, fault in damaged.items():
        effect = "its shard is done again" if read_number(path) < len(job.shards) else "it is removed"
        print(f"{path.name} {fault}: {effect}", file=sys.stderr)
    num_left = len(job.find_remaining(damaged))
    print(f"{num_left} of {len(job.shards)} shards are to do: {job.num_files} images and videos", file=sys.stderr)
    stdout = sys.stdout
    with keep_stdout_for_json(True):  # Ray prints there when a worker crashes
        reports = show_progress(run_job(job, **resources), total=num_left, unit="shard")
        return _report(reports, job, len(job.shards) - num_left, as_json, stdout)


def _report(reports: Iterable[Any], job: Any, num_before: int, as_json: bool, stdout: TextIO) -> int:
    """Print a summary of the shards, ``num_before`` of them done before, and return the exit code."""
    done = []
    for report in reports:
        done.append(report)
        if report.failure:
            print(f"not done: {report.failure}", file=sys.stderr)
        if as_json:
            print(report.to_json(), file=stdout, flush=True)
    num_failed, num_people = (sum(getattr(each, name) for each in done) for name in ("num_failed", "num_people"))
    is_video = [shard.is_video for shard in job.shards]
    num_images, num_frames = (
        sum(each.num_images for each in done if is_video[each.number] is kind) for kind in (False, True)
    )
    if not as_json:
        found = count_detections(num_people, num_images, num_frames)
        errors = f", and {count(num_failed, 'error')}" if num_failed else ""
        before = f"{count(num_before, 'shard')} done before"
        closing = f"{found}{errors}, and {before}" if num_before else f"{found}{errors}"
        closing = closing if done else f"{before}, nothing left to do"
        print(f"{closing}: records in {show_path(job.folder)}", file=stdout)
    return EXIT_FAILURE if num_failed or any(report.failure for report in done) else 0
