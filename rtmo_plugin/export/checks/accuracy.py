"""The AP of a quantized file and of the same file in float32, on images with annotations."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtmo_plugin.engine.evaluation_result import Speed
from rtmo_plugin.engine.metric_tables import find_average_precision
from rtmo_plugin.engine.predicted_samples import predict_infos
from rtmo_plugin.errors import DataError
from rtmo_plugin.evaluation.file_metric import build_file_metric
from rtmo_plugin.evaluation.ground_truth import read_annotations
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.runtime.model_info import ModelInfo
from rtmo_plugin.wording import count

Write = Callable[[Any, Path, ExportOptions, ModelInfo], Differences]


@dataclass(frozen=True)
class Accuracy:
    """AP and speed of one file."""

    precision: float
    speed: Speed
    num_images: int


@dataclass(frozen=True)
class QuantizedAccuracy:
    """AP and speed of a file in float32 and in eight bits."""

    before: Accuracy
    after: Accuracy

    def describe(self) -> str:
        """Return the line that the tool prints."""
        before, after = self.before, self.after
        return (
            f"AP on {count(after.num_images, 'image')}: "
            f"{before.precision:.3f} in float32, {after.precision:.3f} in int8 "
            f"({after.precision - before.precision:+.3f}); {before.speed.milliseconds:.1f} and "
            f"{after.speed.milliseconds:.1f} ms per image"
        )


def compare_accuracy(
    write: Write, model: Any, path: Path, options: ExportOptions, info: ModelInfo, annotations: str | Path
) -> QuantizedAccuracy:
    """Measure a quantized file, and a temporary file of the same model in float32.

    Args:
        write: Function that writes the format.
        model: Trained model, in eval mode.
        path: Quantized file.
        options: Options of the quantized file.
        info: Metadata of the quantized file.
        annotations: Annotation file of the images that the value ranges come from.

    Raises:
        UserError: The annotations are missing or wrong, or an image cannot be read.
    """
    images = options.int8_images[0].parent
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, path.name)
        write(model, plain, replace(options, int8=False, int8_images=()), replace(info, precision="float32"))
        before = _measure(plain, annotations, images, info, "float32")
    return QuantizedAccuracy(before, _measure(path, annotations, images, info))


def _list_category_ids(categories: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> list[int]:
    """Return the category id of each class of a file: by name, or the only one if there is one class."""
    ids = {each.get("name"): each["id"] for each in categories}
    if len(ids) == len(classes) == 1:
        return [*ids.values()]
    unknown = [name for name in classes if name not in ids]
    if unknown:
        raise DataError(f"The annotations have no category {unknown[0]!r}, which is a class of the model.")
    return [ids[name] for name in classes]


def _measure(file: Path, annotations: str | Path, images: Path, info: ModelInfo, precision: str = "auto") -> Accuracy:
    content = read_annotations(annotations)
    infos = [{"img_id": each["id"], "img_path": str(images / each["file_name"])} for each in content["images"]]
    samples, speed = predict_infos(file, infos, precision)
    category_ids = _list_category_ids(content["categories"], info.classes)
    metric = build_file_metric(annotations, content, info.schema, category_ids)
    metric.process(None, samples)
    found = find_average_precision(metric.evaluate(len(infos)))
    assert found is not None  # both metrics have it
    return Accuracy(found, speed, len(infos))
