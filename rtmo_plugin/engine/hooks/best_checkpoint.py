"""``best.pth``: the weights with the highest AP of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.engine.metric_tables import find_average_precision
from rtmo_plugin.errors import CheckpointError
from rtmo_plugin.registry import HOOKS
from rtmo_plugin.wording import show_path

BEST_FILE = "best.pth"
_AP = "ap"


@dataclass(frozen=True)
class BestCheckpoint:
    """Checkpoint with the highest AP of a run.

    Attributes:
        path: Path of the file.
        ap: AP of its validation, between 0 and 1.
        epoch: Number of finished epochs.
    """

    path: Path
    ap: float
    epoch: int

    def __str__(self) -> str:
        return f"{show_path(self.path)} (AP {self.ap:.3f} after epoch {self.epoch})"


@HOOKS.register_module()
class BestCheckpointHook(Hook):
    """Write ``best.pth`` after each validation with a higher AP than all before.

    The file has the averaged weights, the AP and the epoch, and no optimizer: it serves to predict, evaluate, export
    and start from.  A resumed run goes by the file that it finds, unless that is of a later epoch.

    Attributes:
        best: The best checkpoint so far, or None.
    """

    priority = "LOW"  # after EMAHook has given the model its own weights back

    def __init__(self) -> None:
        self.best: BestCheckpoint | None = None

    @master_only  # type: ignore[untyped-decorator]  # MMEngine has no types
    def before_train(self, runner: Runner) -> None:
        """Find the best checkpoint of the run that is resumed."""
        path = Path(runner.work_dir, BEST_FILE)
        self.best = read_best(path) if runner._resume and path.is_file() else None
        if self.best and self.best.epoch > runner.epoch:
            self.best = None

    @master_only  # type: ignore[untyped-decorator]  # MMEngine has no types
    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Save the weights if their AP is the highest so far; an AP without a value (-1) is not one."""
        ap = find_average_precision(metrics or {})
        if ap is None or not ap >= 0 or (self.best and ap <= self.best.ap):
            return
        meta = {"epoch": runner.epoch, "iter": runner.iter, _AP: float(ap)}
        runner.save_checkpoint(
            runner.work_dir, BEST_FILE, save_optimizer=False, save_param_scheduler=False, meta=meta, by_epoch=False
        )
        self.best = BestCheckpoint(Path(runner.work_dir, BEST_FILE), float(ap), runner.epoch)
        runner.logger.info(f"The best checkpoint so far is {self.best}.")


def read_best(path: Path) -> BestCheckpoint | None:
    """Return what a file of ``BestCheckpointHook`` says of itself, or None if it cannot be read."""
    try:
        meta = read_checkpoint(path).get("meta")
    except CheckpointError:
        return None
    if not isinstance(meta, Mapping) or not isinstance(meta.get(_AP), float) or not isinstance(meta.get("epoch"), int):
        return None
    return BestCheckpoint(path, meta[_AP], meta["epoch"])


def find_best(runner: Runner) -> BestCheckpoint | None:
    """Return the best checkpoint of a run so far, or None without a validation."""
    return next((hook.best for hook in runner.hooks if isinstance(hook, BestCheckpointHook)), None)
