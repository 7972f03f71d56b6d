"""``analyze``: evaluates a model, measures its errors, and fills in the template ``page.html``."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from mmengine.config import Config

from rtmo_plugin.analysis import charts
from rtmo_plugin.analysis.analysis_input import AnalysisInput, evaluate_results_file, evaluate_with_config
from rtmo_plugin.analysis.measures import Report, analyze_comparison
from rtmo_plugin.analysis.measures.costs import LEAST_COST, MEANINGS, TITLES
from rtmo_plugin.analysis.measures.study import KINDS
from rtmo_plugin.analysis.training_plots import TrainingPlots, plot_training
from rtmo_plugin.analysis.worst_images import SHOWN_SCORE, ShownImage, draw_worst_images
from rtmo_plugin.config.embedded import carries_config, find_checkpoint
from rtmo_plugin.engine.hooks.curves import read_scalars
from rtmo_plugin.engine.output_files import prepare_file
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.files import write_file
from rtmo_plugin.number_ranges import NUMBER
from rtmo_plugin.score_calibration import METADATA_KEY

_RESULTS_SUFFIX = ".json"
# Options that belong to a result file without a config.
_RESULTS_OPTIONS = ("annotations", "images", "keypoints")


def analyze(
    source: str | Path | Config,
    model: str | Path | None = None,
    *,
    out: str | Path,
    run: str | Path | None = None,
    calibration: str | Path | None = None,
    num_worst: int = 20,
    **options: Any,
) -> Report:
    """Write an HTML page about the errors of a model.

    Args:
        source: A config; or a result file in COCO's format (.json), with the option ``annotations``.
        model: A checkpoint, an exported file, or a result file of the config's test data.
        out: Page to write (.html), which needs no other file.
        run: Work dir of a training, for its curves. Default: the folder of the checkpoint, if it is one.
        calibration: File to write a score calibration to (.json). Default: none is written.
        num_worst: Largest number of images to show.
        **options: Further options. With a config: those of ``prepare_config``, and ``trust`` for an exported file. For
            a result file without one: ``annotations``, ``images`` and ``keypoints``, see ``evaluate_results_file``.

    Returns:
        The numbers that the page shows.

    Raises:
        UserError: Something in the arguments, the config, the data or the model is wrong.
    """
    NUMBER.check("num_worst", num_worst)
    prepare_file("--out", Path(out), (".html",))
    if calibration is not None:
        prepare_file("--calibration", Path(calibration), (".json",))
    data = _evaluate(source, model, {name: value for name, value in options.items() if value is not None})
    report = analyze_comparison(data.comparison, data.schema)
    model = find_checkpoint(source, model) if carries_config(source) else model
    training = plot_training(_find_work_dir(run, model), source if model is not None else None)
    worst = draw_worst_images(data, report.study, num_worst)
    write_file(out, render_page(data, report, worst, training))
    if calibration is not None:
        write_file(calibration, report.calibration.calibration.to_json() + "\n")
    return report


def _evaluate(source: str | Path | Config, model: str | Path | None, options: dict[str, Any]) -> AnalysisInput:
    """Evaluate a model by a config, or a result file by its annotations.

    Raises:
        ConfigError: An option belongs to the other of the two ways.
    """
    is_config = isinstance(source, Config) or Path(source).suffix != _RESULTS_SUFFIX
    wrong = [name for name in options if (name in _RESULTS_OPTIONS) == is_config]
    if wrong:
        place = "a result file without a config" if is_config else "a config, and none is given"
        raise ConfigError(f"--{wrong[0].replace('_', '-')} goes with {place}.")
    if is_config:
        return evaluate_with_config(source, find_checkpoint(source, model), **options)
    assert not isinstance(source, Config)
    if model is not None or "annotations" not in options:
        raise ConfigError(
            "A result file needs its annotations (--annotations FILE), or a config before it: "
            "rtmo analyze CONFIG RESULTS."
        )
    return evaluate_results_file(source, **options)


def _find_work_dir(run: str | Path | None, model: str | Path | None) -> Path | None:
    """Return the work dir of the training: ``run``, or the folder of the checkpoint if it has a training log."""
    if run is not None:
        return Path(run)
    folder = Path(model).parent if model is not None and Path(model).is_file() else None
    return folder if folder is not None and any("loss" in entry for entry in read_scalars(folder)) else None


def render_page(
    data: AnalysisInput, report: Report, worst: Sequence[ShownImage] = (), training: TrainingPlots | None = None
) -> str:
    """Return the page as HTML; names of files, images, classes and keypoints are escaped.

    Args:
        data: Input of the analysis.
        report: Results of the analysis.
        worst: Worst images.
        training: Plots of the training, if its work dir is known.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "base64": lambda content: base64.b64encode(content).decode(),
        "number": _format_number,
        "thousands": "{:,}".format,
    }
    truth, result = data.comparison.truth, report.calibration
    change = 100 * (result.precision_after - result.precision_before)  # points of AP
    return environment.get_template("page.html").render(
        data=data,
        report=report,
        worst=worst,
        training=training,
        sizes={
            "images": len(truth.image_ids),
            "people": int((~truth.is_ignored).sum()),
            "detections": len(data.comparison.detections.scores),
        },
        charts={
            "costs": charts.draw_costs(report),
            "groups": charts.draw_groups(report),
            "keypoints": charts.draw_keypoints(report),
            "precision": charts.draw_precision(report),
            "reliability": charts.draw_reliability(report),
            "visibility": charts.draw_visibility(report),
        },
        correlation="-" if math.isnan(report.correlation) else f"{report.correlation:.3f}",  # may be negative
        change=change,
        is_worth_using=result.after.error < result.before.error and change > -100 * LEAST_COST,
        titles=TITLES,
        meanings=MEANINGS,
        kinds=KINDS,
        least_cost=LEAST_COST,
        shown_score=SHOWN_SCORE,
        metadata_key=METADATA_KEY,
    )


def _format_number(value: float, digits: int = 3) -> str:
    """Return a number; a dash where there is none, which the COCO tools write as -1."""
    return "-" if math.isnan(value) or value < 0 else f"{value:.{digits}f}"
