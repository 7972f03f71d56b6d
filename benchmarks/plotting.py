"""The style of all plots of benchmarks and studies: small PNG files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from rtmo_plugin.files import write_file

COLORS = ("#2f6db5", "#dd8452", "#55a868", "#8e6bb0", "#c8553d", "#5c6675", "#e9c46a", "#2a7f9e")
GRAY = "#9aa3af"
_SETTINGS: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 100}
_NUM_COLORS = 128


def draw_figure(path: Path, size: tuple[float, float], draw: Callable[[Any], None]) -> None:
    """Write a plot, whole or not at all.

    Args:
        path: File to write, a PNG.
        size: Width and height in inches.
        draw: Function that draws on a figure of matplotlib.
    """
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    palette = Image.open(buffer).convert("RGB").quantize(_NUM_COLORS)  # a third as large
    shrunk = io.BytesIO()
    palette.save(shrunk, format="png", optimize=True)
    write_file(path, shrunk.getvalue())
