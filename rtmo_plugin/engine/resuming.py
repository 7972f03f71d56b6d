"""The checkpoint from which a run starts: its furthest one that is whole, the one that was named, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.checkpoints.reading import (
    check_checkpoint_exists,
    check_resumable,
    locate_checkpoint,
    read_checkpoint,
    read_note,
)
from rtmo_plugin.engine.hooks.resume_point import LAST, PREVIOUS
from rtmo_plugin.engine.work_folder import REGULAR, read_progress
from rtmo_plugin.errors import CheckpointError, ConfigError, MissingFileError

AUTO = "auto"
_PATTERNS = (*REGULAR, LAST, PREVIOUS)


@dataclass(frozen=True)
class TrainingStart:
    """What a training starts from.

    Attributes:
        resume: Checkpoint to continue from; ``"auto"`` or True for the last one in the work folder, if it has one.
        load_from: Checkpoint whose weights to start from.
        transfer_from: Checkpoint of a model with other keypoints or classes.
        from_scratch: Whether to start from random weights, without the pretrained backbone.
        overwrite: Whether to remove the checkpoints of an earlier run in the work folder.

    Raises:
        ConfigError: Two checkpoints are named.
    """

    resume: str | Path | bool | None = None
    load_from: str | Path | None = None
    transfer_from: str | Path | None = None
    from_scratch: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.load_from and self.transfer_from:
            raise ConfigError("--load-from and --transfer-from name two checkpoints: start from one of them.")
        is_named = self.resume and self.resume is not True and self.resume != AUTO
        if is_named and (self.load_from or self.transfer_from):
            raise ConfigError("--resume and --load-from name two checkpoints: continue one, or start from the other.")


def choose_start(cfg: Config, chosen: TrainingStart) -> None:
    """Set ``resume`` and ``load_from`` of ``cfg``: whether to resume, and a local file or what to download.

    Args:
        cfg: Config to edit, with ``work_dir``; its own ``resume`` and ``load_from`` are the defaults.
        chosen: Start that the command asks for.

    Raises:
        UserError: A checkpoint is missing or cannot be used.
    """
    load_from, resume = chosen.load_from or chosen.transfer_from, chosen.resume
    start: str | Path | None = load_from or cfg.get("load_from")
    continued: str | Path | None
    if not resume and cfg.get("resume") and not load_from:
        resume = start or AUTO
    if resume is True or resume == AUTO:
        continued = find_resumable(Path(cfg.work_dir))
        print(f"resuming from {continued}" if continued else f"no checkpoint in {cfg.work_dir}: starting with step 1")
    else:
        continued = resume or None
    cfg.resume, cfg.load_from = bool(continued), None
    if continued:
        cfg.load_from = str(locate_checkpoint(continued))
    elif start:
        check_checkpoint_exists(start)
        file = Path(start).expanduser()
        cfg.load_from = str(file if file.is_file() else start)


def find_resumable(work_dir: Path) -> Path | None:
    """Return the checkpoint from which a run in ``work_dir`` can resume, or None if it wrote none.

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


def continue_seed(cfg: Config, checkpoint: Mapping[str, Any]) -> None:
    """Give ``cfg`` the seed of the run that wrote ``checkpoint``.

    MMEngine takes it over too, but only after the order of the samples was decided.
    """
    seed = checkpoint["meta"].get("seed")
    randomness = dict(cfg.get("randomness") or {})
    if seed is None or seed == randomness.get("seed"):
        return
    if randomness.get("seed") is not None:
        print(f"resuming with the seed of the checkpoint, {seed}, instead of {randomness['seed']}")
    cfg.randomness = {**randomness, "seed": seed}
