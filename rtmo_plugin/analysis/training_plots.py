"""The diagnostics of a training, from what its run left in its work dir."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.analysis.charts import draw_diagnostics
from rtmo_plugin.analysis.html import make_figure, make_image, make_paragraph, make_table
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.engine.hooks.curves import find_stages, plot_curves, read_scalars
from rtmo_plugin.engine.hooks.diagnostics import read_diagnostics
from rtmo_plugin.errors import MissingFileError

_NO_DIAGNOSTICS = (
    "The run left no diagnostics.jsonl, so there is nothing about levels and sigmas: its config has no "
    "rtmo_plugin.DiagnosticsHook, or another head."
)
_NO_RUN = "No work dir of a training was given (--run DIR), so there are no curves."


def show_training(work_dir: str | Path | None, config: str | Path | Config | None) -> str:
    """Return the curves of a training as HTML, or why there are none.

    Args:
        work_dir: Work dir of the run; None for no run.
        config: Config of the run, which tells when its stages began; None for one stage.

    Raises:
        MissingFileError: The folder has no log of a training.
    """
    if work_dir is None:
        return make_paragraph(_NO_RUN, "soft")
    scalars = read_scalars(work_dir)
    if not any("loss" in entry for entry in scalars):
        raise MissingFileError(f"--run {work_dir} holds no log of a training (*/vis_data/scalars.json).")
    stages = {"training": 0} if config is None else find_stages(load_config(config))
    with tempfile.TemporaryDirectory() as folder:
        plot = Path(folder, "curves.png")
        plot_curves(scalars, plot, stages)
        curves = make_figure(make_image(plot.read_bytes(), "png", "losses, learning rate and AP over the epochs"))
    return curves + _show_diagnostics(read_diagnostics(work_dir))


def _show_diagnostics(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the number of positives of each level, and the learned sigmas."""
    if not entries:
        return make_paragraph(_NO_DIAGNOSTICS, "soft")
    stages = {entry["stage"]: entry for entry in entries}  # the last epoch of each
    strides = list(entries[-1]["positives"])
    rows = [
        (stage, str(entry["epoch"]), *(f"{entry['positives'][each] / entry['images']:.2f}" for each in strides))
        for stage, entry in stages.items()
    ]
    head = ("training stage", "epoch", *(f"positives an image, stride {stride}" for stride in strides))
    words = (
        "Positives are the priors that are assigned to people. Sigma is the scale of the error that the model expects "
        "of a keypoint, in per cent of the square root of the person's area (paper section 3.2)."
    )
    return make_paragraph(words) + make_table(head, rows) + make_figure(draw_diagnostics(entries))
