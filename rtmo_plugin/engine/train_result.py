"""Result of a training run, as programs get it and the commands print it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.runner import Runner

from rtmo_plugin.checkpoints.reading import read_note
from rtmo_plugin.engine.hooks.best_checkpoint import BestCheckpoint, find_best
from rtmo_plugin.engine.hooks.curves import CURVES_FILE
from rtmo_plugin.engine.hooks.freezing import find_frozen_parts
from rtmo_plugin.engine.metric_tables import find_average_precision
from rtmo_plugin.wording import show_path


@dataclass(frozen=True)
class TrainResult:
    """Result of a training run.

    Attributes:
        metrics: Metrics of the last validation by name, such as ``coco/AP``; empty without validation.
        checkpoint: Last checkpoint, or None if the run was too short to write one.
        log_dir: Folder with the log, the config and the curves as numbers (``vis_data/scalars.json``); their plot is
            ``curves.png`` in the work folder.
        best: Checkpoint with the highest AP, or None without a validation.
        epochs: Number of finished epochs.
        early_stop: Where training ended if before its last epoch, such as "after epoch 3 of 9", or None.
        frozen: Parts of the model that were frozen.
    """

    metrics: Mapping[str, float]
    checkpoint: Path | None
    log_dir: Path
    best: BestCheckpoint | None = None
    epochs: int = 0
    early_stop: str | None = None
    frozen: tuple[str, ...] = ()

    def __str__(self) -> str:
        precision = find_average_precision(self.metrics)
        curves = self.log_dir.parent / CURVES_FILE
        ap = "not validated" if precision is None else f"{precision:.3f} (last validation)"
        if precision is not None and precision < 0:  # as COCO's tools say
            ap = "no value: the validation data have no people to find"
        lines = {
            "AP": ap,
            **({"stopped early": self.early_stop} if self.early_stop else {}),
            **({"frozen": ", ".join(self.frozen)} if self.frozen else {}),
            "checkpoint": show_path(self.checkpoint) if self.checkpoint else "none was written",
            **({"best": str(self.best)} if self.best else {}),
            "log": show_path(self.log_dir),
            **({"curves": show_path(curves)} if curves.is_file() else {}),
        }
        return "\n".join(f"{name + ':':<16}{value}" for name, value in lines.items())

    def describe(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        checkpoint = None if self.checkpoint is None else str(self.checkpoint)
        best = None
        if self.best:
            best = {"checkpoint": str(self.best.path), "AP": self.best.ap, "epoch": self.best.epoch}
        return {
            "metrics": dict(self.metrics),
            "checkpoint": checkpoint,
            "best": best,
            "epochs": self.epochs,
            "early_stop": self.early_stop,
            "frozen": list(self.frozen),
            "log_dir": str(self.log_dir),
        }


def summarize_training(runner: Runner) -> TrainResult:
    """Return the result of a run that is over."""
    scalars = runner.message_hub.log_scalars
    metrics = {
        name.removeprefix("val/"): buffer.current()
        for name, buffer in scalars.items()
        if name.startswith("val/") and name not in ("val/time", "val/data_time")
    }
    noted = read_note(Path(runner.work_dir))
    is_early = getattr(runner.train_loop, "stop_training", False) and runner.epoch < runner.max_epochs
    return TrainResult(
        metrics=metrics,
        checkpoint=noted if noted and noted.is_file() else None,
        log_dir=Path(runner.log_dir),
        best=find_best(runner),
        epochs=runner.epoch,
        early_stop=f"after epoch {runner.epoch} of {runner.max_epochs}" if is_early else None,
        frozen=find_frozen_parts(runner.cfg),
    )
