"""The diagnostics of a training, from what its run left in its work dir."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mmengine.config import Config

from rtmo_plugin.apis.analysis.html import make_figure, make_image, make_paragraph
from rtmo_plugin.apis.configuration import load_config
from rtmo_plugin.engine.curves import find_stages, plot_curves, read_scalars
from rtmo_plugin.errors import MissingFileError

_NO_RUN = "No work dir of a training was given (--run DIR), so there are no curves."


def show_training(work_dir: str | Path | None, config: str | Path | Config | None) -> str:
    """Return the curves of a training as HTML, or why there are none.

    Args:
        work_dir: Of the run; None for no run.
        config: Says when its stages began; None for one stage.

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
        picture = Path(folder, "curves.png")
        plot_curves(scalars, picture, stages)
        return make_figure(make_image(picture.read_bytes(), "png", "losses, learning rate and AP over the epochs"))
