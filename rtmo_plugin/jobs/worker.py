"""Worker: processes the shards of a job with one engine."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import EXIT_USER_ERROR, ConfigError, DataError, MissingFileError, UserError
from rtmo_plugin.files import read_json
from rtmo_plugin.jobs.record_formats import Record, check_format
from rtmo_plugin.jobs.shard_files import ShardFiles
from rtmo_plugin.jobs.shards import Shard
from rtmo_plugin.pose.pose import Pose
from rtmo_plugin.pose.results import PoseResult

MANIFEST = "job.json"
MAX_CRASHES = 3


@dataclass(frozen=True)
class Plan:
    """Description of a job for its workers, also on other machines.

    Attributes:
        id: Id of the job.
        folder: Folder of the job's files, on all machines.
        current: Folder that relative names start from.
        model: Model for ``Pose``.
        format: Format of the records.
        shard_size: Number of images or frames in a file.
        batch_size: Number of images per batch.
        options: Options of ``Pose``.
    """

    id: str
    folder: str
    current: str
    model: str
    format: str = "jsonl"
    shard_size: int = 1000
    batch_size: int = 1
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ShardReport:
    """Outcome of a shard.

    Attributes:
        number: Number of the shard.
        num_images: Number of processed images and frames.
        num_people: Number of people in the images and frames.
        num_failed: Number of images and videos whose records have an ``error``; a video may have failed in the middle.
        worker: Machine and process.
        failure: Reason in one sentence if the shard is not done.
        is_last: Whether the other shards cannot be done either, as on a full disk.
        exit_code: Exit code of the command if no shard follows.
    """

    number: int
    num_images: int = 0
    num_people: int = 0
    num_failed: int = 0
    worker: str = ""
    failure: str | None = None
    is_last: bool = False
    exit_code: int = EXIT_USER_ERROR

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ShardReport:
        """Return the report that ``to_json`` wrote."""
        return cls(**json.loads(text))


class Worker:
    """Processes shards; the model is opened for the first one."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._pose: Pose | None = None

    def run(self, shard: Shard) -> ShardReport:
        """Process a shard, or its missing files, and return a report.

        A finished shard is only counted. A shard on which several processes crashed is left out: an image can crash a
        process by a defect of a decoder, or by the memory that it needs.
        """
        files = ShardFiles(Path(self._plan.folder), shard.number, self._plan.format)
        try:
            pose = self._open()
            if not files.end.is_file():
                if files.count_crashes() >= MAX_CRASHES:
                    which = shard.names[0] if len(shard.names) == 1 else f"one of {shard.names[0]} to {shard.names[-1]}"
                    reason = f"because {MAX_CRASHES} processes crashed on it, perhaps because of {which}"
                    return self._report(shard, failure=f"Shard {shard.number} is left out, {reason}.")
                with files.mark():
                    self._write(self._predict(pose, shard, files), shard, files)
        except UserError as error:
            return self._report(shard, failure=str(error), is_last=True, exit_code=error.exit_code)
        counts = {"num_images": 0, "num_people": 0, "num_failed": 0}
        for record in files.read():
            counts["num_failed" if record["error"] else "num_images"] += 1
            counts["num_people"] += len(record["people"])
        return self._report(shard, **counts)

    def _open(self) -> Pose:
        """Return the model; before it is opened, check that this machine shares the folder of the job.

        Raises:
            UserError: The folder is not shared, or the model or an option is wrong.
        """
        if self._pose is None:
            check_format(self._plan.format)
            manifest = Path(self._plan.folder) / MANIFEST
            found = read_json(manifest) if manifest.is_file() else None
            if not isinstance(found, dict) or found.get("id") != self._plan.id:
                where = f"{self._plan.folder} is not the job's folder on {socket.gethostname()}"
                raise ConfigError(f"{where}: it must be one that all machines share.")
            self._pose = Pose(self._plan.model, **self._plan.options)
        return self._pose

    def _predict(self, pose: Pose, shard: Shard, files: ShardFiles) -> Iterator[Record]:
        """Yield the missing records of a shard."""
        batch_size, size = self._plan.batch_size, self._plan.shard_size
        results: Iterable[PoseResult]
        if not shard.is_video:
            results = pose.stream(shard.names, batch_size=batch_size, start=shard.first)
        else:
            try:
                start = size * len(files.list_parts())
                results = pose.stream(shard.names[0], batch_size=batch_size, start=start)
            except (DataError, MissingFileError) as error:
                yield {"image": shard.names[0], "index": shard.first, "time": None, "people": [], "error": str(error)}
                return
        for result in results:
            yield result.to_dict()

    def _write(self, records: Iterator[Record], shard: Shard, files: ShardFiles) -> None:
        """Write records into files of equal size; the last one has fewer, possibly none for a video."""
        size = self._plan.shard_size if shard.is_video else len(shard.names) + 1
        for _ in count():
            part = list(islice(records, size))
            files.write(part, is_end=len(part) < size)
            if len(part) < size:
                break

    def _report(self, shard: Shard, **values: Any) -> ShardReport:
        return ShardReport(shard.number, worker=f"{socket.gethostname()}:{os.getpid()}", **values)
