"""Samples for metrics: what an exported file or a result file has for each image of a data set, with its truth."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rtmo_plugin.checkpoints.model_names import locate_exported
from rtmo_plugin.checkpoints.name_checks import order_outputs
from rtmo_plugin.data.stored_images import read_stored_image
from rtmo_plugin.engine.evaluation_result import Speed
from rtmo_plugin.errors import DataError
from rtmo_plugin.progress_bar import show_progress
from rtmo_plugin.runtime.exported_model import ExportedModel

Sample = dict[str, Any]
_TRUTH = ("id", "img_id", "raw_ann_info", "crowd_index")  # for a metric without an annotation file


def predict_infos(
    file: str | Path,
    infos: Sequence[Mapping[str, Any]],
    precision: str = "auto",
    metainfo: Mapping[str, Any] | None = None,
    *,
    trust: bool = False,
    uncertainty: bool = False,
) -> tuple[list[Sample], Speed]:
    """Find the people of all images of a data set, one image at a time.

    Args:
        file: Exported model: file, address or published name.
        infos: Entries of the images, with ``img_id`` and ``img_path``.
        precision: Precision, see ``open_engine``.
        metainfo: Metainfo of the data set, whose keypoints and classes the samples get, by name. Default: the model's.
        trust: Whether code in a .pt, .pt2 or .engine file may run that was not exported here.
        uncertainty: Whether samples have the standard deviations of keypoints.

    Returns:
        One sample per image, as ``CocoMetric.process`` takes them, and the time from image to people, without
        reading the image.

    Raises:
        UserError: The file or an image cannot be used.
    """
    path = locate_exported(file)
    model = ExportedModel(path, precision=precision, trust=trust, uncertainty=uncertainty)
    samples, seconds = [], []
    names = (model.info.schema.names, model.info.classes)
    order, classes = order_outputs(file, names, metainfo) if metainfo else (None, None)
    for info in show_progress(infos, unit="image"):
        image = read_stored_image(info["img_path"])
        start = time.perf_counter()
        people = model.predict(image, info["img_path"])
        seconds.append(time.perf_counter() - start)
        if order is not None:
            keypoints, scores = people.keypoints[:, order], people.keypoint_scores[:, order]
            deviations = None if people.uncertainty is None else people.uncertainty[:, order]
            people = replace(people, keypoints=keypoints, keypoint_scores=scores, uncertainty=deviations)
        if classes is not None:
            people = replace(people, labels=np.array(classes, np.int64)[people.labels])
        found = {
            "keypoints": people.keypoints,
            "keypoint_scores": people.keypoint_scores,
            "bboxes": people.boxes,
            "bbox_scores": people.scores,
            "labels": people.labels,
        }
        if people.uncertainty is not None:
            found["keypoint_deviations"] = people.uncertainty
        samples.append({"img_id": info["img_id"], "pred_instances": found, "gt_instances": {}})
    how = f"median; one at a time from image to people, {path.suffix[1:]}, {model.computes_in}"
    return samples, Speed(1000 * statistics.median(seconds or [0.0]), how)


def complete_results(samples: list[Sample], infos: list[Sample], num_keypoints: int, path: Path) -> list[Sample]:
    """Return one sample for each image of a data set, with its annotations, in the order of the data set.

    Args:
        samples: Samples of the images that have detections.
        infos: Entries of all images.
        num_keypoints: Number of keypoints K of the data set.
        path: Path of the result file, for the message.

    Raises:
        DataError: There are detections in another image.
    """
    by_image = {sample["img_id"]: sample for sample in samples}
    unknown = by_image.keys() - {info["img_id"] for info in infos}
    if unknown:
        first = min(unknown, key=str)  # ids may be numbers and text
        raise DataError(
            f"The result file {path} has detections in image {first}, which the config's test data do not have "
            f"({len(unknown)} such ids)."
        )
    no_people = {
        "keypoints": np.zeros((0, num_keypoints, 2)),
        "keypoint_scores": np.zeros((0, num_keypoints)),
        "bbox_scores": np.zeros(0),
    }
    empty: Sample = {"pred_instances": no_people, "gt_instances": {}}
    return [add_truth(by_image.get(info["img_id"], empty), info) for info in infos]


def add_truth(sample: Sample, info: Sample) -> Sample:
    """Return a sample with what a metric without an annotation file takes from the data set."""
    return {**sample, **{name: info[name] for name in _TRUTH if name in info}}
