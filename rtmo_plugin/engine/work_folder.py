"""The work folder of a training: one run at a time, and no checkpoint is replaced without --overwrite."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.engine.hooks.best_checkpoint import BEST_FILE
from rtmo_plugin.engine.hooks.resume_point import LAST, PREVIOUS
from rtmo_plugin.errors import CheckpointError, ConfigError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

REGULAR = ("epoch_*.pth", "iter_*.pth")
_OF_A_RUN = (*REGULAR, BEST_FILE, "best_*.pth", LAST, PREVIOUS)
_DRAFTS = ".*.part.pth"
_LOCK = ".lock"
_NUM_NAMED = 3
# Environment variable with the rank of a process, by launcher.
_RANKS = {"pytorch": "RANK", "slurm": "SLURM_PROCID", "mpi": "OMPI_COMM_WORLD_RANK"}


@contextmanager
def claim_work_dir(cfg: Config) -> Iterator[None]:
    """Keep other runs out of ``cfg.work_dir``, and remove the drafts of checkpoints that a killed run left.

    The lock ends with the process. On a file system without locks, other runs are not kept out. A run that fails
    before it has written anything leaves no new folders.

    Raises:
        ConfigError: Another run uses the folder, or it cannot be written.
    """
    folder = Path(cfg.work_dir)
    if fcntl is None or os.environ.get(_RANKS.get(cfg.get("launcher", "none"), ""), "0") != "0":
        yield
        return
    created = [path for path in (folder, *folder.parents) if not path.is_dir()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The work folder {folder} cannot be written: {error.strerror}.") from error
    with file:
        _lock(file, folder)
        for draft in folder.glob(_DRAFTS):
            draft.unlink(missing_ok=True)
        try:
            yield
        finally:
            if created and [path.name for path in folder.iterdir()] == [_LOCK]:
                (folder / _LOCK).unlink()
                with suppress(OSError):  # a parent has other files by now
                    for path in created:
                        path.rmdir()


def _lock(file: Any, folder: Path) -> None:
    try:
        # Of this process alone: loading workers, which outlive a killed run for some seconds, do not hold it.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        file.seek(0)
        raise ConfigError(
            f"Another training runs in {folder} ({file.read().strip() or 'process unknown'}): "
            "wait for it, or name another folder with --work-dir."
        ) from error
    except OSError:  # no locks on this file system
        return
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()


def list_checkpoints(work_dir: Path) -> list[Path]:
    """Return the checkpoints that runs left in a work folder, ``best.pth`` last."""
    found = {path for pattern in _OF_A_RUN for path in work_dir.glob(pattern)}
    return sorted(found, key=lambda path: (path.name == BEST_FILE, path))


def find_replaced(cfg: Config, overwrite: bool) -> list[Path]:
    """Return the checkpoints in the work folder that a run would replace, or mix with its own.

    Args:
        cfg: Config with ``work_dir``, and with ``load_from`` and ``resume`` as ``choose_start`` sets them.  A new run
            replaces all checkpoints, a resumed one those of later epochs.
        overwrite: Whether they may be removed.

    Raises:
        ConfigError: There are some, and they may not be removed; or the run starts from one of them.
    """
    work_dir = Path(cfg.work_dir)
    found = list_checkpoints(work_dir)
    if cfg.resume:
        start = Path(cfg.load_from)
        found = _select_later(found, start)
        what = f"checkpoints of later epochs than {start}"
    else:
        what = "the checkpoints of an earlier run"
    if not found:
        return []
    names = ", ".join(path.name for path in found[:_NUM_NAMED]) + (", ..." if len(found) > _NUM_NAMED else "")
    if cfg.load_from and Path(cfg.load_from).is_file() and any(path.samefile(cfg.load_from) for path in found):
        raise ConfigError(
            f"{work_dir} holds {cfg.load_from}, from which this run is to start: name another --work-dir."
        )
    if not overwrite:
        remedy = "" if cfg.resume else "continue it with --resume, "
        raise ConfigError(
            f"{work_dir} holds {what} ({names}): {remedy}name another folder with --work-dir, or remove them with "
            "--overwrite."
        )
    return found


def _select_later(paths: list[Path], start: Path) -> list[Path]:
    resumed = read_progress(read_checkpoint(start))
    later = []
    for path in paths:
        if path.name == BEST_FILE:  # a resumed run replaces it when it is of a later epoch
            continue
        try:
            progress = read_progress(read_checkpoint(path))
        except CheckpointError:  # damaged: nothing to lose
            continue
        if progress > resumed:
            later.append(path)
    return later


def read_progress(checkpoint: Mapping[str, Any]) -> tuple[int, int]:
    """Return the epochs and steps after which a checkpoint was written; -1 where it does not say."""
    meta = checkpoint.get("meta")
    values = [meta.get(name) if isinstance(meta, Mapping) else None for name in ("epoch", "iter")]
    epoch, iteration = (value if isinstance(value, int) else -1 for value in values)
    return epoch, iteration
