"""Time of evaluation, from predictions in memory to the printed table, beside MMPose's CocoMetric."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from numpy.typing import NDArray

from benchmarks.timing_report import compare_timings
from rtmo_plugin.engine.metric_tables import format_table
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.evaluation import CocoMetric
from rtmo_plugin.keypoints.metainfo import make_dataset_meta
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.speed.rounds import time_alternately
from rtmo_plugin.speed.speed_report import SpeedReport

SETTINGS = {
    "recipe": {"score_mode": "bbox", "nms_mode": "none"},  # as all of RTMO's configs
    "default": {},  # rescoring by keypoints and OKS NMS
}
_BATCH_SIZE = 32
_SIZE_WH = (640, 480)
_PERSON_AREA = 0.6  # of the box

Json = dict[str, Any]


def run(*, num_images: int = 5000, num_detections: int = 20, settings: str = "recipe", rounds: int = 3) -> SpeedReport:
    """Measure both metrics in turn on the same predictions.

    The annotation file is read before, by each side in its own way.

    Args:
        num_images: Number of images.
        num_detections: Number of detections per image.
        settings: A key of ``SETTINGS``.
        rounds: Number of runs of each side.

    Raises:
        ConfigError: A number is not positive.
    """
    if min(num_images, num_detections, rounds) < 1:
        raise ConfigError("eval: --num-images, --num-detections and --rounds must be at least 1.")
    truth, samples = make_predictions(num_images, num_detections)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "truth.json")
        file.write_text(json.dumps(truth), encoding="utf-8")
        sides = {name: _make_side(build, str(file), samples, SETTINGS[settings]) for name, build in _SIDES.items()}
        timings, metrics = time_alternately(sides, rounds)
    theirs, ours = (results[-1] for results in metrics.values())
    return compare_timings(
        timings,
        title=f"Evaluation of {num_images} images with {num_images * num_detections} detections, settings: {settings}",
        command=f"eval --num-images {num_images} --num-detections {num_detections} "
        f"--settings {settings} --rounds {rounds}",
        settings={"num_images": num_images, "num_detections": num_detections, **SETTINGS[settings]},
        results={
            "people": len(truth["annotations"]),
            "AP": ours["coco/AP"],
            "largest difference": float(np.max([abs(ours[name] - theirs[name]) for name in theirs])),
        },
    )


def make_predictions(num_images: int, num_detections: int, seed: int = 0) -> tuple[Json, list[Json]]:
    """Return people as many and as large as in COCO's val2017, and detections of them.

    Half of the images have no people.  Of the detections some are close, some are rough, and most are
    false and have low scores, as those of a model with a low threshold.

    Args:
        num_images: I.
        num_detections: N, of every image.
        seed: Another seed, other people.

    Returns:
        The content of an annotation file, and I samples as MMPose's evaluator passes them on.
    """
    random = np.random.default_rng(seed)
    counts = np.where(random.random(num_images) < 0.5, 0, random.geometric(0.23, num_images))
    corners = random.uniform(0, 0.6, (counts.sum(), 2)) * _SIZE_WH
    sizes = np.exp(random.normal(4.4, 0.8, (counts.sum(), 2)))
    points = corners[:, None] + random.random((counts.sum(), len(COCO.names), 2)) * sizes[:, None]
    is_visible = random.random((counts.sum(), len(COCO.names), 1)) < random.choice([0, 0.5, 0.9], (counts.sum(), 1, 1))
    keypoints = np.concatenate([points.round(), 2 * is_visible], -1) * is_visible
    image_of_person = np.repeat(np.arange(num_images), counts)
    annotations = [
        _make_annotation(index + 1, int(image) + 1, corner, size, each)
        for index, (image, corner, size, each) in enumerate(zip(image_of_person, corners, sizes, keypoints))
    ]
    images = [{"id": index + 1, "width": _SIZE_WH[0], "height": _SIZE_WH[1]} for index in range(num_images)]
    people = np.split(points, np.cumsum(counts)[:-1])
    samples = [_make_sample(index + 1, each, num_detections, random) for index, each in enumerate(people)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}, samples


def _make_annotation(index: int, image: int, corner: NDArray[Any], size: NDArray[Any], keypoints: NDArray[Any]) -> Json:
    return {
        "id": index,
        "image_id": image,
        "category_id": 1,
        "iscrowd": int(index % 50 == 0),
        "bbox": [*corner.tolist(), *size.tolist()],
        "area": float(size.prod() * _PERSON_AREA),
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
    }


def _make_sample(image: int, people: NDArray[Any], num_detections: int, random: np.random.Generator) -> Json:
    """Return one sample with the first detections near the people (G, K, 2) and the others anywhere."""
    near = people[:num_detections] + random.normal(0, 1, people[:num_detections].shape) * random.choice([1, 4, 12])
    num_false = num_detections - len(near)
    extents, places = random.uniform(20, 300, (num_false, 1, 2)), random.uniform(0, 400, (num_false, 1, 2))
    false = random.random((num_false, *people.shape[1:])) * extents + places
    keypoints = np.concatenate([near, false]).astype(np.float32)
    scores = np.concatenate([random.uniform(0.3, 1, len(near)), random.uniform(0, 0.4, num_false)])
    found = {
        "keypoints": keypoints,
        "keypoint_scores": random.random(keypoints.shape[:2]).astype(np.float32),
        "bboxes": np.concatenate([keypoints.min(1), keypoints.max(1)], 1),
        "bbox_scores": scores.astype(np.float32),
    }
    return {"id": [image], "img_id": image, "pred_instances": found, "gt_instances": {}}


def _make_side(
    build: Callable[..., Any], file: str, samples: Sequence[Json], settings: Mapping[str, Any]
) -> Callable[[], dict[str, float]]:
    """Return a function from predictions to the printed table, whose metric has read its annotations."""
    MMLogger.get_current_instance().setLevel("ERROR")
    with contextlib.redirect_stdout(io.StringIO()):
        metric = build(ann_file=file, **settings)
    metric.dataset_meta = make_dataset_meta("benchmark", COCO)

    def evaluate() -> dict[str, float]:
        with contextlib.redirect_stdout(io.StringIO()):  # of what the COCO tools print beside the table
            for start in range(0, len(samples), _BATCH_SIZE):
                metric.process(None, samples[start : start + _BATCH_SIZE])
            metrics: dict[str, float] = metric.evaluate(len(samples))
        print(format_table(metrics))
        return metrics

    return evaluate


def _build_mmpose(**settings: Any) -> Any:
    from mmpose.evaluation.metrics import CocoMetric as Reference

    return Reference(**settings)


_SIDES = {"MMPose's CocoMetric": _build_mmpose, "rtmo_plugin.CocoMetric": CocoMetric}
