"""Two models on the same data: whether the difference of their APs is more than noise."""

from __future__ import annotations

from pathlib import Path

from rtmo_plugin.analysis.measures import compare
from rtmo_plugin.engine.evaluation_result import Evaluation, ModelComparison


def compare_evaluations(
    first: Evaluation, second: Evaluation, models: tuple[str | Path, str | Path]
) -> ModelComparison:
    """Compare the evaluations of two models.

    Args:
        first: Evaluation of the first model, with its people.
        second: Evaluation of the second model, with its people.
        models: Both models; their file names are shown, or the whole paths if these are equal.

    Raises:
        DataError: They were evaluated on different images.
    """
    assert first.people is not None
    assert second.people is not None
    difference = compare(first.people.comparison, second.people.comparison)
    names = (Path(models[0]).name, Path(models[1]).name)
    if names[0] == names[1]:
        names = (str(models[0]), str(models[1]))
    return ModelComparison(names, second.metrics, second.speed, difference)
