"""The worker of a job, which does shards one after another with one engine."""

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
MAX_DEATHS = 3


@dataclass(frozen=True)
class Plan:
    """Description of a job for its workers; it is sent to other machines.

    Attributes:
        id: Id of the job.
        folder: Folder of its files, on all machines.
        current: Folder to which relative names refer.
        model: Model for ``Pose``.
        format: Format of the records.
        shard_size: Number of images or frames in a file.
        batch_size: Number of images that are computed at once.
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
        num_images: Number of images and frames whose people are in its files.
        num_people: Number of people in these.
        num_failed: Number of images and videos that could not be used, or not to the end: their records have an
            ``error``.
        worker: Machine and process.
        failure: Reason in one sentence if it is not done.
        is_last: Whether the others cannot be done either, as on a full disk.
        exit_code: Exit code of the command if it is the last.
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
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ShardReport:
        """Return what ``to_json`` wrote."""
        return cls(**json.loads(text))


class Worker:
    """Does shards; the model is opened for the first of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._pose: Pose | None = None

    def run(self, shard: Shard) -> ShardReport:
        """Do a shard, or what is left of it, and say what came of it.

        A shard that is done stays as it is, so that it may be asked for twice. A shard on which several processes died
        is left out: an image can end a process by a fault of a decoder, or by its need of memory.
        """
        files = ShardFiles(Path(self._plan.folder), shard.number, self._plan.format)
        try:
            pose = self._open()
            if not files.end.is_file():
                if files.count_deaths() >= MAX_DEATHS:
                    return self._report(shard, failure=_describe_deaths(shard))
                with files.mark():
                    self._write(self._predict(pose, shard, files), shard, files)
        except UserError as error:
            return self._report(shard, failure=str(error), is_last=True, exit_code=error.exit_code)
        return self._report(shard, **_count(files.read()))

    def _open(self) -> Pose:
        """Return the model, once it is clear that this machine sees what it needs.

        Raises:
            UserError: It does not, or the model or an option is wrong.
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
        """Yield the records of a shard that are not there yet."""
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
        """Write records into files of so many; the last has fewer, and of a video perhaps none."""
        size = self._plan.shard_size if shard.is_video else len(shard.names) + 1
        for _ in count():
            part = list(islice(records, size))
            files.write(part, is_end=len(part) < size)
            if len(part) < size:
                break

    def _report(self, shard: Shard, **values: Any) -> ShardReport:
        return ShardReport(shard.number, worker=f"{socket.gethostname()}:{os.getpid()}", **values)


def _count(records: Iterable[Record]) -> dict[str, int]:
    counts = {"num_images": 0, "num_people": 0, "num_failed": 0}
    for record in records:
        counts["num_failed" if record["error"] else "num_images"] += 1
        counts["num_people"] += len(record["people"])
    return counts


def _describe_deaths(shard: Shard) -> str:
    which = shard.names[0] if len(shard.names) == 1 else f"one of {shard.names[0]} to {shard.names[-1]}"
    return f"Shard {shard.number} is left out, because {MAX_DEATHS} processes died working on it: perhaps of {which}."
