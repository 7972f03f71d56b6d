"""The demo: train, test and draw on synthetic people, without data or weights from elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rtmo_plugin.api import evaluate, train
from rtmo_plugin.engine.hooks.curves import CURVES_FILE
from rtmo_plugin.engine.hooks.prediction_plots import write_contact_sheet
from rtmo_plugin.engine.metric_tables import find_average_precision
from rtmo_plugin.engine.optim_wrapper import has_fast_bfloat16
from rtmo_plugin.wording import show_path

_SHEET = "predictions.jpg"


@dataclass(frozen=True)
class DemoResult:
    """Result of the demo.

    Attributes:
        average_precision: OKS AP on held-out images, or None without a checkpoint.
        minutes: Duration of training with its evaluations.
        work_dir: Folder of all files.
        checkpoint: Last checkpoint, or None if no checkpoint was written.
        config: Path of the config.
    """

    average_precision: float | None
    minutes: float
    work_dir: Path
    checkpoint: Path | None
    config: str = ""

    def __str__(self) -> str:
        precision = "unknown" if self.average_precision is None else f"{self.average_precision:.3f}"
        folder = show_path(self.work_dir)
        lines = {"AP": f"{precision} on held-out images, after {self.minutes:.1f} minutes of training"}
        if self.checkpoint is None:
            lines["checkpoint"] = "none was written"
        else:
            checkpoint = show_path(self.checkpoint)
            lines |= {
                "predictions": f"{folder}/{_SHEET} (all plots in {folder}/plots)",
                "checkpoint": checkpoint,
                "curves": f"{folder}/{CURVES_FILE}",
                "next": f"rtmo export {self.config} {checkpoint} --out {folder}/demo.onnx",
                "": f"rtmo serve {folder}/demo.onnx    # a page to try it with your own images",
            }
        return "\n".join(f"{f'{name}:' if name else '':<16}{value}" for name, value in lines.items())


def run_demo(config: str | Path, work_dir: str | Path, num_plots: int = 12) -> DemoResult:
    """Train the model of ``config`` from random weights, test it, and draw its predictions.

    Args:
        config: Path of a config file.
        work_dir: Folder for the checkpoint, the curves and the plots.
        num_plots: Number of plots on the sheet.

    Raises:
        UserError: The config cannot be run.
    """
    work_dir = Path(work_dir)
    started = time.monotonic()
    trained = train(config, work_dir=work_dir, amp=has_fast_bfloat16(), from_scratch=True, seed=0, overwrite=True)
    minutes = (time.monotonic() - started) / 60
    if trained.checkpoint is None:
        return DemoResult(None, minutes, work_dir, None, show_path(config))
    plots = work_dir / "plots"
    metrics = evaluate(config, trained.checkpoint, work_dir=work_dir / "test", show_dir=plots)
    write_contact_sheet(sorted(plots.glob("*.jpg"))[:num_plots], work_dir / _SHEET)
    return DemoResult(find_average_precision(metrics), minutes, work_dir, trained.checkpoint, show_path(config))
