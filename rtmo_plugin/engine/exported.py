"""Exported files on the test data of a config: what is deployed is what is measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rtmo_plugin.checkpoints.model_names import locate_exported
from rtmo_plugin.checkpoints.name_checks import order_outputs
from rtmo_plugin.data.stored_images import read_stored_image
from rtmo_plugin.progress_bar import show_progress
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.exported_model import ExportedModel

Sample = dict[str, Any]


@dataclass(frozen=True)
class Speed:
    """How long an image took, while AP was measured.

    Attributes:
        milliseconds: Median of the images.
        how: Steps that were timed, and runtime.
    """

    milliseconds: float
    how: str

    def describe(self) -> str:
        """Return a human-readable line."""
        return f"{self.milliseconds:.1f} ms an image ({self.how})"


class Metrics(dict[str, float]):
    """Metrics by name, with the speed beside them.

    Attributes:
        speed: None where nothing ran, as for a result file.
    """

    def __init__(self, values: Mapping[str, float], speed: Speed | None) -> None:
        super().__init__(values)
        self.speed = speed


def predict_infos(
    file: str | Path,
    infos: Sequence[Mapping[str, Any]],
    precision: str = "auto",
    metainfo: Mapping[str, Any] | None = None,
    *,
    trust: bool = False,
) -> tuple[list[Sample], Speed]:
    """Find the people of all images of a data set, one image at a time.

    Args:
        file: Exported model: file, address or published name.
        infos: Entries of the images, with ``img_id`` and ``img_path``.
        precision: Precision, see ``open_engine``.
        metainfo: Metainfo of the data set, whose keypoints and classes the samples get, by name. Default: the model's.
        trust: Whether code in a .pt or .pt2 file may run that was not exported here.

    Returns:
        One sample an image, as ``CocoMetric.process`` takes them, and the speed from image to people, without
        reading the image.

    Raises:
        UserError: The file or an image cannot be used.
    """
    path = locate_exported(file)
    model, samples, seconds = ExportedModel(path, precision=precision, trust=trust), [], []
    names = (model.info.schema.names, model.info.classes)
    order, classes = order_outputs(file, names, metainfo) if metainfo else (None, None)
    for info in show_progress(infos, unit="image"):
        image = read_stored_image(info["img_path"])
        start = time.perf_counter()
        people = model.predict(image, info["img_path"])
        seconds.append(time.perf_counter() - start)
        if order is not None:
            keypoints, scores = people.keypoints[:, order], people.keypoint_scores[:, order]
            people = replace(people, keypoints=keypoints, keypoint_scores=scores)
        if classes is not None:
            people = replace(people, labels=np.array(classes, np.int64)[people.labels])
        samples.append(_make_sample(info["img_id"], people))
    how = f"median; one at a time from image to people, {path.suffix[1:]}, {model.computes_in}"
    return samples, Speed(1000 * statistics.median(seconds or [0.0]), how)


def _make_sample(image_id: Any, people: Detections) -> Sample:
    found = {
        "keypoints": people.keypoints,
        "keypoint_scores": people.keypoint_scores,
        "bboxes": people.boxes,
        "bbox_scores": people.scores,
        "labels": people.labels,
    }
    return {"img_id": image_id, "pred_instances": found, "gt_instances": {}}
