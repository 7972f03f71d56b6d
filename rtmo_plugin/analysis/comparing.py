"""Two models side by side: their tables, and whether the difference is more than noise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mmengine
from mmengine.config import Config

from rtmo_plugin.analysis.measures import Difference, compare
from rtmo_plugin.engine.evaluated import evaluate_source
from rtmo_plugin.engine.exported import Metrics
from rtmo_plugin.engine.metric_tables import format_tables
from rtmo_plugin.engine.testing import METRIC_FILES, prepare_file
from rtmo_plugin.errors import ConfigError

_NOT_FOR_TWO = ("dump", "show_dir")


@dataclass(frozen=True)
class ModelComparison:
    """Metrics of two models, and the difference of their APs."""

    names: tuple[str, str]
    metrics: tuple[Metrics, Metrics]
    difference: Difference

    def format(self) -> str:
        """Return both tables, one under the other, and a sentence."""
        first, second = self.metrics
        change = {name: second[name] - first[name] for name in first}
        table = format_tables(dict(zip(self.names, self.metrics)), {"difference": change})
        speeds = [f"{name}: {each.speed.describe()}" for name, each in zip(self.names, self.metrics) if each.speed]
        return "\n\n".join([table, *(["\n".join(speeds)] if speeds else []), self.difference.describe(*self.names)])


def compare_models(
    config: str | Path | Config,
    first: str | Path,
    second: str | Path,
    *,
    out: str | Path | None = None,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> ModelComparison:
    """Evaluate two models on the test data of a config, and compare their APs.

    Args:
        config: Path of a config file, or a config.
        first: A checkpoint as ``evaluate`` takes it, an exported file (.onnx), or a result file in
            COCO's format (.json).
        second: The same for the other model.
        out: File for the metrics and the difference (.json, .yaml or .pkl).
        checkpoint: Must be None; the tool passes what stands beside ``--compare`` on.
        **options: See ``prepare_config``; and ``trust``, see ``evaluate_source``.

    Raises:
        UserError: Something in the arguments, the config, the data or the models is wrong.
    """
    if checkpoint is not None:
        raise ConfigError(f"--compare names both models: leave {checkpoint} out, or name it there.")
    given = [name for name in _NOT_FOR_TWO if options.pop(name, None)]
    if given:
        raise ConfigError(f"--{given[0].replace('_', '-')} is for one model, and --compare has two.")
    if out is not None:
        prepare_file("--out", Path(out), METRIC_FILES)
    before, after = (evaluate_source(config, source, **options) for source in (first, second))
    difference = compare(before.comparison, after.comparison)
    names = (Path(first).name, Path(second).name)
    if names[0] == names[1]:
        names = (str(first), str(second))
    result = ModelComparison(names, (before.metrics, after.metrics), difference)
    if out is not None:
        mmengine.dump(dict(zip("AB", map(dict, result.metrics)), difference=asdict(difference)), str(out))
    return result
