"""A checkpoint on an NVIDIA GPU: pixels of images in, people out, by CUDA graphs that are recorded once and replayed.

A batch is one copy to the GPU, one replay, one copy back and one wait. Everything in between is ``PeopleGraph``. The
images of a batch may have any sizes: their pixels lie one behind the other in memory of a fixed size, and where they
lie is data. A recording is made for a number of images when it first comes, and made again for larger images.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from queue import LifoQueue
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtmo_plugin.engine.recording_proof import find_difference
from rtmo_plugin.engine.recordings import ForwardRecorder, RecordingError, explain_failure
from rtmo_plugin.export.people_graph import NUM_COUNTS, GraphProblem, PeopleGraph
from rtmo_plugin.media.drawing import Image
from rtmo_plugin.models.heads.rtmo_head_module import RawMaps
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.letterbox_samples import count_numbers, describe_letterbox
from rtmo_plugin.wording import count

_LARGEST_BATCH = 64  # images in one replay
_MOST_BYTES = 1 << 30  # of the pixels in one replay; offsets have 31 bits
_LEAST_BYTES = 1 << 23  # with the numbers: one image of 1920 x 1080 pixels, or eight of 640 x 480
_MOST_FILLED = 2  # a batch of 5 images is computed by a recording for 10, and not by one for 11
_recording = Lock()  # PyTorch records one graph at a time


class ReplayedModel:
    """People of images by replays.

    Args:
        graph: Module to record, on its device, in eval mode.
        recorders: Ways to record, one for each batch that may be computed side by side.

    Attributes:
        failure: Why nothing can be replayed, as the end of a sentence, or None.
    """

    def __init__(self, graph: PeopleGraph, recorders: Sequence[ForwardRecorder]) -> None:
        self._graph = graph
        self._lanes: LifoQueue[_Lane] = LifoQueue()  # so that one lane alone records what comes one after another
        for recorder in reversed(recorders):
            self._lanes.put(_Lane(graph, recorder))
        self.failure: str | None = None
        self._has_replayed = False
        self._refused: set[int] = set()  # numbers of images that could not be recorded

    def warm_up(self) -> None:
        """Record for one image."""
        self._compute(_draw_noise(1, self._graph.size_wh, _MOST_BYTES))

    def predict(self, images: Sequence[Image]) -> list[Detections | None]:
        """Return the detections in each image, in pixels of that image; several threads may call this.

        Args:
            images: Images, (height, width, 3) BGR, with pixels.

        Returns:
            Detections; None, after a warning, for an image with more than fits into the arrays, and for the images of
            a batch that cannot be recorded.
        """
        return [each for batch in split_images(images) for each in self._predict_batch(batch)]

    def _predict_batch(self, images: Sequence[Image]) -> list[Detections | None]:
        rows = None if sum(each.size for each in images) > _MOST_BYTES else self._compute(images)
        return [None] * len(images) if rows is None else [self._read_row(row) for row in rows]

    def _compute(self, images: Sequence[Image]) -> NDArray[np.float32] | None:
        """Return the graph's first result for images; None, the first time after a warning, if it is not recorded."""
        number = len(images)
        if self.failure is not None or number in self._refused:
            return None
        lane = self._lanes.get()
        try:
            result = lane.compute(images)
        except RecordingError as error:
            self._note_failure(number, str(error))
            return None
        finally:
            self._lanes.put(lane)
        self._has_replayed = True
        return result

    def _note_failure(self, number: int, reason: str) -> None:
        """Use no graphs any more if none has been recorded, and otherwise none for so many images."""
        is_known = self.failure is not None or number in self._refused  # by another thread
        if self._has_replayed:
            self._refused.add(number)
            what = f"CUDA graphs are not used for {count(number, 'image')} at a time"
        else:
            self.failure, what = reason, "CUDA graphs are not used"
        if not is_known:
            warnings.warn(f"{what}: {reason}.", stacklevel=2)

    def _read_row(self, row: NDArray[np.float32]) -> Detections | None:
        """Return the detections in a row of the graph's first result."""
        problem = GraphProblem(int(row[1]))
        if problem:
            warnings.warn(f"Images are computed without CUDA graphs where {problem.explain()}.", stacklevel=2)
            return None
        people = row[NUM_COUNTS:].reshape(-1, self._graph.num_values)[: int(row[0])]
        num_keypoints = self._graph.head.dcc.num_keypoints
        keypoints, deviations = np.split(people[:, 6:], [3 * num_keypoints], axis=1)
        keypoints = keypoints.reshape(len(people), num_keypoints, 3)
        return Detections(
            people[:, :4],
            people[:, 4],
            keypoints[..., :2],
            keypoints[..., 2],
            people[:, 5].astype(np.int64),
            deviations.reshape(len(people), num_keypoints, 2) if self._graph.has_uncertainty else None,
        )


def split_images(images: Sequence[Image]) -> Iterator[list[Image]]:
    """Yield batches with as many images and bytes as one replay takes, or one larger image."""
    batch: list[Image] = []
    for image in images:
        if len(batch) == _LARGEST_BATCH or sum(each.nbytes for each in [*batch, image]) > _MOST_BYTES:
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _round_up(number: int) -> int:
    """Return a number that is at most a quarter larger, of which there are four between powers of two.

    Examples:
        >>> [_round_up(number) for number in (1, 7, 8, 9, 11, 17, 33, 64)]
        [1, 7, 8, 10, 12, 20, 40, 64]
    """
    step = max(1, (1 << (number - 1).bit_length()) // 8)
    return -(-number // step) * step


def _draw_noise(number: int, size_wh: tuple[int, int], num_bytes: int) -> list[Image]:
    """Return images of random pixels, as large as the network's input if so many bytes have room for them."""
    largest = math.isqrt(num_bytes // (3 * number))
    width, height = (min(side, largest) for side in size_wh)
    return [*np.random.default_rng(0).integers(0, 256, (number, height, width, 3), np.uint8)]


class _Lane:
    """Recordings and a stream of the GPU, for one batch at a time.

    Args:
        graph: Module to record.
        recorder: Way to record.
    """

    def __init__(self, graph: PeopleGraph, recorder: ForwardRecorder) -> None:
        self._graph, self._recorder = graph, recorder
        device = graph.fill.device
        make_stream: Any = torch.cuda.Stream
        self._stream = make_stream(device) if device.type == "cuda" else None
        self._plans: dict[int, _Plan] = {}

    @torch.no_grad()
    def compute(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Return the first result of the graph for images.

        Raises:
            RecordingError: The graph cannot be recorded.
        """
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            plan = self._find_plan(images)
            plan.upload(images)
            plan.replay()
            if self._stream is not None:
                self._stream.synchronize()
        return plan.results[: len(images)].copy()

    def _find_plan(self, images: Sequence[Image]) -> _Plan:
        """Return a plan with room for images, a new one if there is none."""
        number, num_bytes = len(images), sum(each.size for each in images)
        fitting = [
            size
            for size, plan in self._plans.items()
            if number <= size <= _MOST_FILLED * number and num_bytes <= plan.num_bytes
        ]
        if fitting:
            return self._plans[min(fitting)]
        number = min(_round_up(number), max(number, _LARGEST_BATCH))
        if self._plans.pop(number, None) is not None and not self._plans:  # with too little room
            self._recorder.release()
        reason = None
        with _recording:
            try:
                plan = _Plan(self._graph, self._recorder, number, num_bytes)
                reason = plan.find_difference(images)
                if reason == plan.overflow:  # which proves nothing of the recording
                    reason = plan.find_difference(_draw_noise(number, self._graph.size_wh, plan.num_bytes))
            except RuntimeError as error:  # torch's errors of CUDA as well
                reason = explain_failure(error)
        if reason is not None:
            raise RecordingError(reason)
        self._plans[number] = plan
        return plan


class _Plan:
    """A recording for a number of images, and the memory that it reads and writes.

    Args:
        graph: Module to record.
        recorder: Way to record.
        num_images: Number of images, B.
        num_bytes: Bytes of all their pixels, at least.

    Attributes:
        num_bytes: Bytes of the pixels that there is room for.
        results: First result of the last replay, in memory that the GPU writes.

    Raises:
        RuntimeError: The graph cannot be recorded.
    """

    def __init__(self, graph: PeopleGraph, recorder: ForwardRecorder, num_images: int, num_bytes: int) -> None:
        self._graph = graph
        shape = (num_images, count_numbers(graph.size_wh))
        self._start = start = 4 * num_images * shape[1]  # of the pixels, behind the numbers
        # PyTorch pins powers of two.
        self.num_bytes = max(_LEAST_BYTES, 1 << (start + num_bytes - 1).bit_length()) - start
        device = graph.fill.device
        is_pinned = device.type == "cuda"
        self._host = torch.zeros(self._start + self.num_bytes, dtype=torch.uint8, pin_memory=is_pinned)
        self._numbers = self._host[: self._start].numpy().view(np.int32).reshape(shape)
        self._pixels = self._host[self._start :].numpy()
        self._given = torch.zeros_like(self._host, device=device)
        self._given_numbers = given_numbers = self._given[:start].view(torch.int32).view(shape)

        def find_people(given: Tensor) -> tuple[Tensor, ...]:  # no reference to ``self``, which frees it at once
            results: tuple[Tensor, ...] = graph(given[start:], given_numbers)
            return results

        self._function = find_people
        self._recording = recorder.record_forward(find_people, self._given)
        self._results = torch.empty_like(self._recording.outputs[0], device="cpu", pin_memory=is_pinned)
        self.results: NDArray[np.float32] = self._results.numpy()

    def upload(self, images: Sequence[Image]) -> None:
        """Start to copy at most B images to the GPU."""
        size_wh, start = self._graph.size_wh, 0
        for numbers, image in zip(self._numbers, images):
            height, width = image.shape[:2]
            numbers[:] = describe_letterbox((width, height), size_wh)
            numbers[: 2 * size_wh[1]] += start
            self._pixels[start : start + image.size].reshape(image.shape)[:] = image
            start += image.size
        used = self._start + start
        self._given[:used].copy_(self._host[:used], non_blocking=True)

    def replay(self) -> None:
        """Start to compute the people of the uploaded images, and to copy them back."""
        self._recording.replay()
        self._results.copy_(self._recording.outputs[0], non_blocking=True)

    @property
    def overflow(self) -> str:
        """That images overflow, as the end of a sentence."""
        return f"the network computes numbers that are not finite in {str(self._graph.dtype).removeprefix('torch.')}"

    def find_difference(self, images: Sequence[Image]) -> str | None:
        """Return how a replay differs from the graph for images, as the end of a sentence, or None.

        The recording was made with other images: with zeros.
        """
        self.upload(images)
        self.replay()
        found, pixels, *maps = (each.clone() for each in self._recording.outputs)
        _, expected_pixels, *expected = self._function(self._given)
        dtype = self._graph.dtype
        if not all(bool(each.isfinite().all()) for each in expected):
            return self.overflow
        if not torch.equal(pixels, expected_pixels):  # maps of a network without training are all alike
            return "images of a replay differ from those of the network itself"
        num_levels = len(self._graph.head.strides)
        levels = [list(maps[first : first + num_levels]) for first in range(0, len(maps), num_levels)]
        people = self._graph.find_people(RawMaps(*[*levels, []]), self._given_numbers)
        # The same kernels on the same maps: rounding cannot exchange people.
        return find_difference("outputs", maps, expected, dtype) or find_difference(
            "people", [found], [people], torch.float32
        )
