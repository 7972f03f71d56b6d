"""A job in its folder: its description, its progress, and whether a restart continues the same job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from rtmo_plugin import __version__
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.files import read_json, write_file
from rtmo_plugin.jobs.record_formats import check_format
from rtmo_plugin.jobs.shard_files import clear_checks, find_damaged, find_done, read_number
from rtmo_plugin.jobs.shards import Shard, list_inputs, make_shards
from rtmo_plugin.jobs.worker import MANIFEST, Plan
from rtmo_plugin.media.image_files import make_folder
from rtmo_plugin.number_ranges import BATCH_SIZE, COUNT
from rtmo_plugin.runtime.coordinate_decoder import locate_parameters

# Options that a restart may change, because they do not change the results.
_RESOURCES = ("device", "threads", "streams")


@dataclass(frozen=True)
class Job:
    """A job for ``run_job``.

    Attributes:
        plan: Description of the job for its workers.
        shards: All shards of the job.
    """

    plan: Plan
    shards: tuple[Shard, ...]

    @property
    def folder(self) -> Path:
        """Folder of the job's files."""
        return Path(self.plan.folder)

    @property
    def num_files(self) -> int:
        """Number of images and videos."""
        return sum(len(shard.names) for shard in self.shards)

    def find_damaged(self) -> dict[Path, str]:
        """Return the files of records that are missing or were changed, with the reason."""
        num_records = {shard.number: len(shard.names) for shard in self.shards if not shard.is_video}
        return find_damaged(self.folder, num_records)

    def find_remaining(self, damaged: Iterable[Path] | None = None) -> list[Shard]:
        """Return the shards that are not done, or have a missing or damaged file of records.

        Args:
            damaged: Result of ``find_damaged``, which reads all files. Default: computed here.
        """
        done = find_done(self.folder) - set(map(read_number, self.find_damaged() if damaged is None else damaged))
        return [shard for shard in self.shards if shard.number not in done]


def open_job(
    model: str | Path,
    source: Any,
    out: str | Path,
    *,
    records: str = "jsonl",
    shard_size: int = 1000,
    batch_size: int = 1,
    **options: Any,
) -> Job:
    """Begin a job in a folder, or resume the job of the folder.

    Args:
        model: Model for ``Pose``.
        source: Images and videos: a folder, a pattern, a list of names, or a ``.txt`` file with a name a line.
        out: Folder of the job; several machines must share it under this name.
        records: Format of the files of records, ``"jsonl"`` or ``"parquet"``.
        shard_size: Number of images, or frames of a video, in a file; at most as many are repeated after a crash.
        batch_size: Number of images per batch.
        **options: Options of ``Pose``.

    Raises:
        MissingFileError: Images and videos are missing, or the model does not exist.
        ConfigError: An option is wrong, or another job is in the folder.
        OutputError: The folder cannot be written.
    """
    check_format(records)
    COUNT.check("shard_size", shard_size)
    BATCH_SIZE.check("batch_size", batch_size)
    names = list_inputs(source)
    _check_names(names, records)
    wanted = {
        "model": _digest_model(Path(model), options.get("config")),
        # Values as JSON gives them back.
        "options": {
            name: json.loads(json.dumps(value, default=str))
            for name, value in sorted(options.items())
            if name not in _RESOURCES
        },
        "files": len(names),
        "names": _digest(json.dumps(name).encode() for name in names),
        "records": records,
        "shard_size": shard_size,
        "rtmo_plugin": __version__,  # another version may compute other results
    }
    folder = make_folder(out, "--out").resolve()
    id_ = _read_id(folder, wanted) or _begin(folder, wanted)
    plan = Plan(id_, str(folder), str(Path.cwd()), str(model), records, shard_size, batch_size, options)
    return Job(plan, tuple(make_shards(names, shard_size)))


def _begin(folder: Path, wanted: dict[str, Any]) -> str:
    """Write the description of a new job, and return its id.

    Raises:
        ConfigError: The folder has files of a job without its description.
    """
    if find_done(folder):
        raise ConfigError(f"{folder} has files of a job, but no {MANIFEST}: choose another folder for --out.")
    clear_checks(folder)
    id_ = uuid4().hex
    content = json.dumps({"id": id_, **wanted}, indent=1)
    write_file(folder / MANIFEST, content.encode())
    return id_


def _read_id(folder: Path, wanted: dict[str, Any]) -> str | None:
    """Return the id of the job in a folder; None if the folder has no job.

    Raises:
        ConfigError: The folder has another job.
        DataError: The description of the job cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        found = read_json(path)
        id_, differing = str(found["id"]), [key for key, value in wanted.items() if found[key] != value]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged or of another version: choose another folder for --out.") from error
    if differing:
        key = differing[0]
        then, now = (json.dumps(each[key]) for each in (found, wanted))
        difference = f"other {key}" if key in ("model", "names") else f"{key} {then}, and not {now}"
        raise ConfigError(f"{folder} has a job with {difference}: start it again as it was, or choose another folder.")
    return id_


def _check_names(names: Iterable[str], records: str) -> None:
    """Check that the format of the records can hold all names.

    Raises:
        ConfigError: Parquet cannot hold a name that is not valid Unicode.
    """
    if records != "parquet":
        return
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"Parquet cannot hold the name {name!r}: choose JSON lines, or rename it.") from error


def _digest_model(model: Path, config: Any) -> str:
    """Return the digest of a model file and the files that belong to it; for a published name, name and config.

    Raises:
        MissingFileError: The model file does not exist.
    """
    if not model.is_file():
        if model.suffix:
            raise MissingFileError(f"The model file {model} does not exist.")
        return f"{model} {config}"
    beside = dict.fromkeys([model, model.with_suffix(".bin"), locate_parameters(model)])
    return _digest([*(path.read_bytes() for path in beside if path.is_file()), str(config).encode()])


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
