"""What a shard leaves in the folder of its job: files of records, each of which is there whole or not at all.

Of some images there is one file, ``shard-0000012-end.jsonl``; of a video one for every so many frames before it,
``shard-0000012-000000.jsonl`` and so on, so that a long one is not begun anew.  In the order of their names the files
have the order of the work.  Whoever works on a shard has a mark in ``running/``, which stays there if it dies.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import uuid4

from rtmo_plugin.errors import OutputError
from rtmo_plugin.jobs.record_formats import FORMATS, Record, decode, encode

RUNNING = "running"
_TOKEN = uuid4().hex[:8]  # machines may have one name, and processes of two one number


@dataclass(frozen=True)
class ShardFiles:
    """The files of one shard.

    Attributes:
        folder: Of the job.
        number: Of the shard.
        format: Of the records.
    """

    folder: Path
    number: int
    format: str

    @property
    def end(self) -> Path:
        """The last file; where it is, the shard is done."""
        return self.folder / f"{self._stem}-end.{self.format}"

    @property
    def _stem(self) -> str:
        return f"shard-{self.number:07d}"

    def list_parts(self) -> list[Path]:
        """Return the files before the last that are there."""
        names = (self.folder / f"{self._stem}-{part:06d}.{self.format}" for part in count())
        parts = []
        for path in names:
            if not path.is_file():
                break
            parts.append(path)
        return parts

    def write(self, records: list[Record], is_end: bool) -> None:
        """Write the next file.

        Raises:
            OutputError: It cannot be written, for example because the disk is full; nothing of it is left.
        """
        part = self.folder / f"{self._stem}-{len(self.list_parts()):06d}.{self.format}"
        _write_whole(self.end if is_end else part, encode(records, self.format))

    def read(self) -> Iterator[Record]:
        """Yield the records that are there."""
        for path in (*self.list_parts(), self.end):
            if path.is_file():
                yield from decode(path)

    @contextmanager
    def mark(self) -> Iterator[None]:
        """Leave a mark meanwhile, which only the death of this process leaves behind."""
        mark = self.folder / RUNNING / f"{self._stem}.{_name_process()}"
        with _report(mark):
            mark.touch()
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)

    def count_deaths(self) -> int:
        """Return how many have died working on the shard, while nobody does."""
        return len(self._list_marks())

    def forget_deaths(self) -> None:
        """Remove their marks."""
        for mark in self._list_marks():
            mark.unlink(missing_ok=True)

    def _list_marks(self) -> list[Path]:
        return list((self.folder / RUNNING).glob(f"{self._stem}.*"))


def read_records(folder: str | Path) -> Iterator[Record]:
    """Yield the records of a job that are there, in the order of the work, as ``PoseResult.to_dict`` returns them."""
    for path in sorted(Path(folder).glob("shard-*")):
        yield from decode(path)


def find_done(folder: Path) -> set[int]:
    """Return the numbers of the shards that are done."""
    ends = {f"-end.{name}" for name in FORMATS}
    return {int(path.name[6:13]) for path in folder.glob("shard-*-end.*") if path.name[13:] in ends}


def clear_running(folder: Path) -> None:
    """Make the folder of marks, and remove unfinished files of those that died from it; nobody may be at work."""
    running = folder / RUNNING
    with _report(running):
        running.mkdir(parents=True, exist_ok=True)
        for left in running.glob("shard-*-*"):
            left.unlink()


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there when all of it is on the disk; several may write the same one at the same time."""
    unfinished = path.parent / RUNNING / f"{path.name}.{_name_process()}"
    with _report(path):
        try:
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


@contextmanager
def _report(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


def _name_process() -> str:
    return f"{socket.gethostname()}.{os.getpid()}.{_TOKEN}"
