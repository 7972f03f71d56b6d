"""Files of a shard in the folder of its job: files of records, each written whole or not at all.

A shard of images has one file, ``shard-0000012-end.jsonl``. A shard of a video has a file for every so many frames
before it, ``shard-0000012-000000.jsonl`` and so on, so that a long video does not start over. Sorted by name, the files
are in the order of the images. A process that works on a shard has a mark in ``running/``, which stays if it crashes.

``checks/`` has an empty file for each file of records, named after the file and its SHA-256, with which the file is
compared. Two processes may write one shard, so a file may have two checks, and either content is right.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import uuid4

from rtmo_plugin.errors import DataError, OutputError
from rtmo_plugin.files import compute_hash
from rtmo_plugin.jobs.record_formats import FORMATS, Record, decode, encode

RUNNING, CHECKS = "running", "checks"
_TOKEN = uuid4().hex[:8]  # tells processes apart that share a machine name and a process number


@dataclass(frozen=True)
class ShardFiles:
    """The files of one shard.

    Attributes:
        folder: Folder of the job.
        number: Number of the shard.
        format: Format of the records.
    """

    folder: Path
    number: int
    format: str

    @property
    def end(self) -> Path:
        """The last file; if it exists, the shard is done."""
        return self.folder / f"{self._stem}-end.{self.format}"

    @property
    def _stem(self) -> str:
        return f"shard-{self.number:07d}"

    def list_parts(self) -> list[Path]:
        """Return the existing files before the last."""
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
            OutputError: The file cannot be written, for example because the disk is full; no part of it is left.
        """
        part = self.folder / f"{self._stem}-{len(self.list_parts()):06d}.{self.format}"
        path, content = self.end if is_end else part, encode(records, self.format)
        check = self.folder / CHECKS / f"{path.name}.{hashlib.sha256(content).hexdigest()}"
        with _report(check):
            check.parent.mkdir(exist_ok=True)
            check.touch()  # first, because a file without a check counts as foreign
        _write_whole(path, content)

    def read(self) -> Iterator[Record]:
        """Yield the records of all existing files."""
        for path in (*self.list_parts(), self.end):
            if path.is_file():
                yield from decode(path)

    @contextmanager
    def mark(self) -> Iterator[None]:
        """Keep a mark during the block; only a crash of this process leaves it behind."""
        mark = self.folder / RUNNING / f"{self._stem}.{_name_process()}"
        with _report(mark):
            mark.touch()
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)

    def count_crashes(self) -> int:
        """Return the number of processes that crashed on the shard; no process may be working on it."""
        return len(self._list_marks())

    def clear_crash_marks(self) -> None:
        """Remove the marks of the processes that crashed."""
        for mark in self._list_marks():
            mark.unlink(missing_ok=True)

    def _list_marks(self) -> list[Path]:
        return list((self.folder / RUNNING).glob(f"{self._stem}.*"))


def read_records(folder: str | Path) -> Iterator[Record]:
    """Yield the finished records of a job in the order of its images, as ``PoseResult.to_dict`` returns them.

    Raises:
        DataError: A file of records is missing, damaged or cut off; the message says what to do.
    """
    folder = Path(folder)
    checks = _list_checks(folder)
    for names in _list_files(folder, checks).values():
        for name in names:
            fault = _find_fault(folder / name, checks.get(name), is_checked=bool(checks))
            if fault:
                raise DataError(f"{folder / name} {fault}: start the job again to repeat its shard.")
            yield from decode(folder / name)


def find_damaged(folder: Path, num_records: Mapping[int, int]) -> dict[Path, str]:
    """Return the files of records that are missing or were changed, and the files that follow these, with the reason.

    Args:
        folder: Folder of the job.
        num_records: Number of records by shard, for shards of images.
    """
    checks, damaged = _list_checks(folder), {}
    for number, names in _list_files(folder, checks).items():
        is_behind = False
        for name in names:
            fault = _find_fault(folder / name, checks.get(name), num_records.get(number), is_checked=bool(checks))
            if fault or is_behind:
                damaged[folder / name] = fault or "follows a file that is missing or damaged"
                is_behind = True
    return damaged


def _find_fault(path: Path, digests: set[str] | None, num_records: int | None = None, *, is_checked: bool) -> str:
    """Return the fault of a file of records, or an empty text.

    Args:
        path: File of records.
        digests: SHA-256 of the written content. None: not known, so the content is read.
        num_records: Number of records in the file. Default: unknown.
        is_checked: Whether other files of the job have a SHA-256.
    """
    if not path.is_file():
        return "is missing"
    if digests:
        is_right = compute_hash(path) in digests
        return "" if is_right else "is not what was written" if path.stat().st_size else "is empty"
    if is_checked:
        return "was not written by the job"
    try:
        found = sum(1 for _ in decode(path))
    except DataError as error:
        return f"is damaged ({error})"
    return "" if num_records in (None, found) else f"has {found} of {num_records} records"


def _list_checks(folder: Path) -> dict[str, set[str]]:
    """Return the SHA-256 of the written content by name of the file of records."""
    checks: dict[str, set[str]] = defaultdict(set)
    for check in folder.joinpath(CHECKS).glob("shard-*"):
        checks[check.stem].add(check.suffix[1:])
    return dict(checks)


def _list_files(folder: Path, written: Iterable[str]) -> dict[int, list[str]]:
    """Return the names of the files of records that exist or were ``written``, by shard, in order."""
    ends = tuple(f".{name}" for name in FORMATS)
    by_shard: dict[int, list[str]] = defaultdict(list)
    for name in sorted({*written, *(path.name for path in folder.glob("shard-*"))}):
        if name.endswith(ends) and name[6:13].isdecimal():
            by_shard[int(name[6:13])].append(name)
    return by_shard


def clear_checks(folder: Path) -> None:
    """Remove the checks that an earlier job left behind."""
    for check in folder.joinpath(CHECKS).glob("shard-*"):
        check.unlink()


def find_done(folder: Path) -> set[int]:
    """Return the numbers of the shards that are done."""
    ends = {f"-end.{name}" for name in FORMATS}
    return {read_number(path) for path in folder.glob("shard-*-end.*") if path.name[13:] in ends}


def read_number(path: Path) -> int:
    """Return the number of the shard that a file of records belongs to."""
    return int(path.name[6:13])


def clear_running(folder: Path) -> None:
    """Make the folder of marks, and remove unfinished files of crashed processes; no process may be working."""
    running = folder / RUNNING
    with _report(running):
        running.mkdir(parents=True, exist_ok=True)
        for left in running.glob("shard-*-*"):
            left.unlink()


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, synced to disk; several processes may write it at the same time."""
    unfinished = path.parent / RUNNING / f"{path.name}.{_name_process()}.{uuid4().hex[:8]}"
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
