"""Where a model's errors are: one page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.analysis.material import Material, evaluate_model, read_material
from rtmo_plugin.analysis.measures import Report, analyze_comparison
from rtmo_plugin.analysis.page import write_page
from rtmo_plugin.analysis.training_plots import show_training
from rtmo_plugin.analysis.worst_images import show_worst
from rtmo_plugin.config.embedded import carries_config, find_checkpoint
from rtmo_plugin.engine.evaluated import RESULTS_SUFFIX
from rtmo_plugin.engine.hooks.curves import read_scalars
from rtmo_plugin.engine.testing import prepare_file
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.files import write_file
from rtmo_plugin.number_ranges import NUMBER

__all__ = ["analyze"]

_OF_RESULTS = ("annotations", "images", "keypoints")


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
    """Write a page about where the errors are.

    Args:
        source: A config; or a result file in COCO's format (.json), with the option ``annotations``.
        model: A checkpoint or a result file of the config's test data.
        out: Page to write (.html), which needs no other file.
        run: Work dir of a training, for its curves; by default the folder of the checkpoint if it is one.
        calibration: File for a calibration of the scores (.json).
        num_worst: Largest number of images to show.
        **options: Further options. With a config see ``evaluate_source``; for a result file without one
            ``annotations``, ``images`` and ``keypoints``, see ``material.read_material``.

    Raises:
        UserError: Something in the arguments, the config, the data or the model is wrong.
    """
    NUMBER.check("num_worst", num_worst)
    prepare_file("--out", Path(out), (".html",))
    if calibration is not None:
        prepare_file("--calibration", Path(calibration), (".json",))
    material = _find_material(source, model, {name: value for name, value in options.items() if value is not None})
    report = analyze_comparison(material.comparison, material.schema)
    model = find_checkpoint(source, model) if carries_config(source) else model
    training = show_training(_find_run(run, model), source if model is not None else None)
    worst = show_worst(material, report.study, num_worst)
    write_file(out, write_page(material, report, worst, training))
    if calibration is not None:
        write_file(calibration, report.calibration.calibration.to_json() + "\n")
    return report


def _find_material(source: str | Path | Config, model: str | Path | None, options: dict[str, Any]) -> Material:
    """Evaluate the model or the result file.

    Raises:
        ConfigError: An option belongs to the other of the two ways.
    """
    is_config = isinstance(source, Config) or Path(source).suffix != RESULTS_SUFFIX
    wrong = [name for name in options if (name in _OF_RESULTS) == is_config]
    if wrong:
        place = "a result file without a config" if is_config else "a config, and there is none"
        raise ConfigError(f"--{wrong[0].replace('_', '-')} goes with {place}.")
    if is_config:
        return evaluate_model(source, find_checkpoint(source, model), **options)
    assert not isinstance(source, Config)
    if model is not None or "annotations" not in options:
        raise ConfigError("A result file needs --annotations FILE; or a config before it, analyze.py CONFIG RESULTS.")
    return read_material(source, **options)


def _find_run(run: str | Path | None, model: str | Path | None) -> Path | None:
    if run is not None:
        return Path(run)
    folder = Path(model).parent if model is not None and Path(model).is_file() else None
    return folder if folder is not None and any("loss" in entry for entry in read_scalars(folder)) else None
