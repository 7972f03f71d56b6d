"""Resume an interrupted run: find its furthest checkpoint that is whole, and take over its seed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.checkpoints.reading import check_resumable, read_checkpoint, read_note
from rtmo_plugin.engine.hooks.resume_point import LAST, PREVIOUS
from rtmo_plugin.engine.work_folder import REGULAR, read_progress
from rtmo_plugin.errors import CheckpointError, MissingFileError

_PATTERNS = (*REGULAR, LAST, PREVIOUS)


def find_resumable(work_dir: Path) -> Path | None:
    """Return the checkpoint from which a run in ``work_dir`` can go on, or None if it wrote none.

    It is the one with the most epochs and steps by what stands in it: the times of files change when a folder is
    copied.  Files that cannot be used are named on the terminal and passed over.

    Raises:
        MissingFileError: The folder says that there was a checkpoint, but it is gone.
        CheckpointError: There are checkpoints, but none that can be used.
    """
    noted = read_note(work_dir)
    found = {path for pattern in _PATTERNS for path in work_dir.glob(pattern)}
    found |= {noted} if noted and noted.is_file() else set()
    usable: dict[Path, tuple[int, int]] = {}
    for path in sorted(found):
        try:
            checkpoint = read_checkpoint(path)
            check_resumable(checkpoint, path)
        except CheckpointError as error:
            print(f"passing over a checkpoint: {error}")
        else:
            usable[path] = read_progress(checkpoint)
    if usable:
        return max(usable, key=lambda path: usable[path])  # the first of equals: a regular one
    if found:
        raise CheckpointError(f"No checkpoint in {work_dir} can be resumed: name another with --resume.")
    if noted:
        raise MissingFileError(f"The last checkpoint of {work_dir}, {noted}, is gone: name another with --resume.")
    return None


def continue_seed(cfg: Config, checkpoint: Mapping[str, Any]) -> Config:
    """Return ``cfg`` with the seed of the run that wrote ``checkpoint``.

    MMEngine takes it over too, but only after the order of the samples was decided.
    """
    seed = checkpoint["meta"].get("seed")
    randomness = dict(cfg.get("randomness") or {})
    if seed is None or seed == randomness.get("seed"):
        return cfg
    if randomness.get("seed") is not None:
        print(f"going on with the seed of the checkpoint, {seed}, instead of {randomness['seed']}")
    changed = copy.deepcopy(cfg)
    changed.randomness = {**randomness, "seed": seed}
    return changed
