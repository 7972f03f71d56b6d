"""A checkpoint as a function from images to people, beside exported files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from rtmo_plugin.engine.hooks.prediction_plots import select_predictions
from rtmo_plugin.keypoints.metainfo import read_keypoint_set
from rtmo_plugin.media.drawing import Image
from rtmo_plugin.number_ranges import FRACTION
from rtmo_plugin.pose.predictor import Predictor
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.model_info import ModelInfo


class CheckpointModel:
    """A model of a config with the weights of a checkpoint, where ``ExportedModel`` is an exported file.

    Args:
        config: Path of a config file, or the name of a shipped one.
        checkpoint: Path or URL of a checkpoint, or a name such as ``rtmo-s_body7``.
        score_thr: Lowest score of a person.
        device: Device in torch's notation. Default: a GPU if there is one.

    Raises:
        UserError: The config, the checkpoint or the device is wrong.
    """

    def __init__(
        self, config: str | Path, checkpoint: str | Path, *, score_thr: float = 0.3, device: str | None = None
    ) -> None:
        FRACTION.check("score_thr", score_thr)
        self._predictor = Predictor(config, checkpoint, device=device)
        self._score_thr = score_thr
        meta = self._predictor.metainfo
        self.info = ModelInfo(read_keypoint_set(meta), tuple(meta.get("classes") or ("person",)))

    def predict_batch(self, images: Sequence[Image], names: Sequence[str] | None = None) -> list[Detections]:
        """Return the people in each of some images, in their pixels.

        Raises:
            DataError: One of them cannot be scaled to the input.
        """
        names = names or [f"Image {index}" for index in range(len(images))]
        return [self._select(self._predictor.predict(image, name)) for image, name in zip(images, names)]

    def time_parts(self, image: Image) -> dict[str, float]:
        """Return the seconds of the parts of ``predict_batch``, as in ``ExportedModel``; NMS counts as network."""
        start = perf_counter()
        batch = self._predictor.prepare(image)
        prepared = perf_counter()
        sample = self._predictor.compute(batch)
        computed = perf_counter()
        self._select(sample)
        return {"before": prepared - start, "network": computed - prepared, "after": perf_counter() - computed}

    def _select(self, sample: Any) -> Detections:
        """Return the people of a data sample above the threshold."""
        keypoints, visibility, scores, boxes, labels = select_predictions(sample, self._score_thr)
        return Detections(boxes, scores, keypoints, visibility, labels.astype(np.int64))
