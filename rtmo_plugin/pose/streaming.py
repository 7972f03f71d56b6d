"""From frames to results: reading, the network and the caller's loop run side by side."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Protocol

import numpy as np

from rtmo_plugin.errors import DataError
from rtmo_plugin.media.drawing import Image
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.media.read_ahead import map_ahead, read_ahead
from rtmo_plugin.pose.results import PoseResult
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.model_info import ModelInfo


class Model(Protocol):
    """Interface of all models: ``ExportedModel``, ``CheckpointModel``, and either with flipping or tiles."""

    info: ModelInfo

    def predict_batch(self, images: Sequence[Image], names: Sequence[str] | None = None) -> list[Detections]:
        """Return the detections in each image, in pixels of that image.

        Raises:
            DataError: An image cannot be scaled to the input.
        """


def stream_results(
    model: Model, frames: Iterable[Frame], batch_size: int = 1, streams: int = 1
) -> Generator[PoseResult, None, None]:
    """Yield a result for each frame, in order; the next batches are computed while a result is used.

    Args:
        model: Model that detects the people.
        frames: Frames; a frame with an error becomes a result without people.
        batch_size: Number of images that are computed at once.
        streams: Number of batches that are computed side by side.
    """
    remaining = iter(frames)
    batches = iter(lambda: list(islice(remaining, batch_size)), [])
    with ThreadPoolExecutor(streams) as pool:
        computed = map_ahead(pool, lambda batch: predict_frames(model, batch), batches, streams - 1)
        for results in read_ahead(computed, 1):
            yield from results


def predict_frames(model: Model, frames: Sequence[Frame]) -> list[PoseResult]:
    """Return a result for each frame; an image that cannot be used does not stop the others."""
    usable = [(frame.image, frame.name) for frame in frames if frame.image is not None]
    images, names = [image for image, _ in usable], [name for _, name in usable]
    try:
        found = iter(model.predict_batch(images, names) if images else [])
    except DataError as error:
        if len(frames) == 1:
            return [_make_empty(model.info, replace(frames[0], image=None, error=str(error)))]
        return [result for frame in frames for result in predict_frames(model, [frame])]
    return [
        _make_empty(model.info, frame) if frame.image is None else PoseResult(frame, next(found), model.info)
        for frame in frames
    ]


def _make_empty(info: ModelInfo, frame: Frame) -> PoseResult:
    num_keypoints = info.schema.num_keypoints
    points, scores = np.zeros((0, num_keypoints, 2)), np.zeros((0, num_keypoints))
    people = Detections(np.zeros((0, 4)), np.zeros(0), points, scores, np.zeros(0, np.int64))
    return PoseResult(frame, people, info)
