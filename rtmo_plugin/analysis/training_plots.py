"""Curves and diagnostics of a training, from the files in its work dir."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.analysis.charts import draw_diagnostics
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.embedded import carries_config, find_checkpoint
from rtmo_plugin.engine.hooks.curves import find_stages, plot_curves, read_scalars
from rtmo_plugin.engine.hooks.diagnostics import read_diagnostics
from rtmo_plugin.errors import MissingFileError


@dataclass(frozen=True)
class TrainingPlots:
    """What the page shows of a training.

    Attributes:
        curves: Losses, learning rate and AP over the epochs, as a PNG file.
        stages: Diagnostics of the last epoch of each training stage; empty if the run left none.
        diagnostics: Chart of the diagnostics, as SVG; empty if the run left none.
    """

    curves: bytes
    stages: Sequence[Mapping[str, Any]]
    diagnostics: str


def find_training_plots(
    run: str | Path | None, source: str | Path | Config, model: str | Path | None
) -> TrainingPlots | None:
    """Return the plots of the training of a model, or None if its work dir is not known.

    Args:
        run: Work dir of the training. Default: the folder of the checkpoint, if it has a training log.
        source: Config of the model, or a checkpoint that carries it, or a result file without a model.
        model: Model of the config, or None.

    Raises:
        MissingFileError: ``run`` has no log of a training.
    """
    model = find_checkpoint(source, model) if carries_config(source) else model
    return plot_training(find_work_dir(run, model), source if model is not None else None)


def find_work_dir(run: str | Path | None, model: str | Path | None) -> Path | None:
    """Return the work dir of a training: ``run``, or the folder of the checkpoint if it has a training log."""
    if run is not None:
        return Path(run)
    folder = Path(model).parent if model is not None and Path(model).is_file() else None
    return folder if folder is not None and any("loss" in entry for entry in read_scalars(folder)) else None


def plot_training(work_dir: Path | None, config: str | Path | Config | None) -> TrainingPlots | None:
    """Return the plots of a training; None without a work dir.

    Args:
        work_dir: Work dir of the run.
        config: Config of the run, which tells when its stages began; None for one stage.

    Raises:
        MissingFileError: The folder has no log of a training.
    """
    if work_dir is None:
        return None
    scalars = read_scalars(work_dir)
    if not any("loss" in entry for entry in scalars):
        raise MissingFileError(f"--run {work_dir} holds no log of a training (*/vis_data/scalars.json).")
    stages = {"training": 0} if config is None else find_stages(load_config(config))
    with tempfile.TemporaryDirectory() as folder:
        plot = Path(folder, "curves.png")
        plot_curves(scalars, plot, stages)
        curves = plot.read_bytes()
    entries = read_diagnostics(work_dir)
    last = {entry["stage"]: entry for entry in entries}
    return TrainingPlots(curves, list(last.values()), draw_diagnostics(entries) if entries else "")
