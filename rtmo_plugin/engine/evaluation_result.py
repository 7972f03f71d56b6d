"""Result of an evaluation: metrics, speed, and the comparison with a second model."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rtmo_plugin.engine.metric_tables import format_table, format_tables
from rtmo_plugin.evaluation.records import Comparison, Difference


@dataclass(frozen=True)
class Speed:
    """Time per image, measured together with the metrics.

    Attributes:
        milliseconds: Median of the images.
        how: Steps that were timed, and runtime.
    """

    milliseconds: float
    how: str

    def describe(self) -> str:
        """Return a human-readable line."""
        return f"{self.milliseconds:.1f} ms per image ({self.how})"


@dataclass(frozen=True)
class EvaluatedPeople:
    """People and detections from which the metrics were computed.

    Attributes:
        comparison: Ground truth and detections.
        metainfo: MMPose's metainfo of the data set.
        image_paths: Path of each image by image id.
    """

    comparison: Comparison
    metainfo: Mapping[str, Any]
    image_paths: Mapping[Hashable, str]


@dataclass(frozen=True)
class ModelComparison:
    """A second model on the same data.

    Attributes:
        names: Names of the first and the second model.
        metrics: Metrics of the second model by name.
        speed: Time per image of the second model; None for a result file.
        difference: Difference of the two APs with its confidence interval.
    """

    names: tuple[str, str]
    metrics: Mapping[str, float]
    speed: Speed | None
    difference: Difference


@dataclass(frozen=True, eq=False)
class Evaluation(Mapping[str, float]):
    """Result of evaluating a model on the test data of a config; also the mapping of its metrics.

    Attributes:
        metrics: Metrics by name, such as ``coco/AP``, 0 to 1; -1 where the data have no people of a size.
        comparison: Comparison with a second model, or None.
        speed: Time per image and how it was measured; None where nothing ran, as for a result file.
        people: People and detections that were compared, if they were asked for.

    Examples:
        >>> evaluation = Evaluation({"coco/AP": 0.5})
        >>> evaluation["coco/AP"], evaluation == {"coco/AP": 0.5}
        (0.5, True)
    """

    metrics: Mapping[str, float]
    comparison: ModelComparison | None = None
    speed: Speed | None = None
    people: EvaluatedPeople | None = None

    def __getitem__(self, name: str) -> float:
        return self.metrics[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)

    def __repr__(self) -> str:
        """Return metrics, comparison and speed, without the people."""
        return f"Evaluation(metrics={self.metrics!r}, comparison={self.comparison!r}, speed={self.speed!r})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a file: the metrics by name, or those of two models and their difference."""
        if self.comparison is None:
            return dict(self.metrics)
        second = self.comparison
        return {"A": dict(self.metrics), "B": dict(second.metrics), "difference": asdict(second.difference)}

    def format(self) -> str:
        """Return human-readable tables: metrics, speed, and a sentence about the difference of two models."""
        if self.comparison is None:
            return "\n\n".join([format_table(self.metrics), *([self.speed.describe()] if self.speed else [])])
        second = self.comparison
        change = {name: second.metrics[name] - value for name, value in self.metrics.items()}
        table = format_tables(dict(zip(second.names, (self.metrics, second.metrics))), {"difference": change})
        speeds = zip(second.names, (self.speed, second.speed))
        lines = [f"{name}: {speed.describe()}" for name, speed in speeds if speed]
        return "\n\n".join([table, *(["\n".join(lines)] if lines else []), second.difference.describe(*second.names)])
