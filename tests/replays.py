"""Models, batches and recorders for tests of recordings: stand-ins for CUDA graphs, right ones and wrong ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from rtmo_plugin.engine.recordings import ForwardRecording, Recording, differentiate
from tests.oracle import OUR_CONFIGS, make_samples
from tests.tiny import shrink

NUM_WARM_UPS = 3


class MemoryRecorder:
    """Stand-in for CUDA graphs: results are written to the same memory in every replay.

    Args:
        has_room: Whether there is memory for something else.
    """

    def __init__(self, has_room=True):
        self.shapes, self.num_releases, self._has_room = [], 0, has_room
        self._graph = []  # of the last replay, as intermediate results in the memory pool of CUDA graphs

    def find_obstacle(self, device):
        return None

    def has_room_for(self, num_bytes):
        assert num_bytes == 125
        return self._has_room

    def release(self):
        self.num_releases += 1

    def __call__(self, function, inputs):
        self.shapes.append(tuple(inputs[0].shape))
        weights, graph = inputs[1:], self._graph
        for _ in range(NUM_WARM_UPS):
            outputs = function(*inputs)
            gradients = tuple(torch.zeros_like(each) for each in outputs)
            found = differentiate(outputs, weights, gradients)
        kept = tuple(each.detach().clone() for each in outputs)
        found = tuple(None if each is None else each.clone() for each in found)

        def forward():
            with torch.enable_grad():
                graph[:] = function(*inputs)
            for static, value in zip(kept, graph):
                static.copy_(value.detach())

        def backward():
            for static, value in zip(found, differentiate(graph, weights, gradients)):
                if static is not None:
                    static.copy_(value)

        return Recording(inputs, kept, gradients, found, forward, backward, num_bytes=100)


class ForwardMemoryRecorder:
    """Stand-in for CUDA graphs without gradients: each replay reads and writes the same memory."""

    def __init__(self):
        self.shapes, self.num_replays, self.num_releases = [], 0, 0

    def find_obstacle(self, device):
        return None

    def release(self):
        self.num_releases += 1

    def record_forward(self, function, given):
        outputs = tuple(each.clone() for each in function(given))
        self.shapes.append(tuple(outputs[0].shape))

        def replay():
            self.num_replays += 1
            for static, value in zip(outputs, function(given)):
                static.copy_(value)

        return ForwardRecording(outputs, replay)


class StaleForwardRecorder(ForwardMemoryRecorder):
    """Records a copy of the input."""

    def record_forward(self, function, given):
        copy = given.clone()
        return super().record_forward(lambda _: function(copy), given)


class FailingForwardRecorder(ForwardMemoryRecorder):
    def record_forward(self, function, given):
        raise RuntimeError("operation not permitted when stream is capturing\nand more lines")


class FailingRecorder(MemoryRecorder):
    def __call__(self, function, inputs):
        super().__call__(function, inputs)  # the warm-up has changed the buffers
        try:
            raise RuntimeError("operation not permitted when stream is capturing\nand more lines")
        finally:
            raise RuntimeError("the capture was invalidated")  # as torch does at the end of a capture


class WrongRecorder:
    """Recordings that compute something else than the function.

    Args:
        inner: Recorder that makes right ones. Default: the stand-in.
    """

    def __init__(self, inner=None):
        self.inner = inner or MemoryRecorder()

    def __getattr__(self, name):
        return getattr(self.inner, name)


class StaleWeightsRecorder(WrongRecorder):
    """Records copies of the weights, as a graph does that reads the cache of autocast."""

    def __call__(self, function, inputs):
        images, *weights = inputs
        copies = [each.detach().clone().requires_grad_() for each in weights]
        return self.inner(lambda pixels, *_: function(pixels, *copies), (images, *copies))


class StaleImagesRecorder(WrongRecorder):
    """Records a copy of the images."""

    def __call__(self, function, inputs):
        pixels = inputs[0].clone()
        return self.inner(lambda _, *weights: function(pixels, *weights), inputs)


class TwiceRecorder(WrongRecorder):
    """Runs the network twice in each replay."""

    def __call__(self, function, inputs):
        recording = self.inner(function, inputs)
        return replace(recording, forward=lambda: (recording.forward(), recording.forward()))


class AddingRecorder(WrongRecorder):
    """Adds the gradients of a weight to those of the replay before."""

    def __call__(self, function, inputs):
        recording = self.inner(function, inputs)
        last = next(each for each in recording.weight_gradients if each is not None)

        def backward():
            before = last.clone()
            recording.backward()
            last.add_(before)

        recording.forward()
        recording.output_gradients[0].fill_(1.0)
        backward()
        return replace(recording, backward=backward)


class LosingRecorder(WrongRecorder):
    """Has no gradient of a weight."""

    def __call__(self, function, inputs):
        recording = self.inner(function, inputs)
        return replace(recording, weight_gradients=(*recording.weight_gradients[:-1], None))


class FullRecorder(MemoryRecorder):
    """Has no memory."""

    def __call__(self, function, inputs):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


class NoWorkspaceRecorder(MemoryRecorder):
    """Has no memory for what cuDNN needs beside its results."""

    def __call__(self, function, inputs):
        raise RuntimeError("FIND was unable to find an engine to execute this computation")


class PoolRecorder(MemoryRecorder):
    """Has a pool of memory as CUDA graphs: a block serves a recording of its size or a smaller one.

    Args:
        num_pixels: Size of the pool in pixels of a batch.
    """

    def __init__(self, num_pixels):
        super().__init__()
        self._left, self._num_pixels, self._blocks = num_pixels, num_pixels, []

    def release(self):
        super().release()
        self._left, self._blocks = self._num_pixels, []

    def __call__(self, function, inputs):
        needed = inputs[0][:, 0].numel()
        if all(block < needed for block in self._blocks):
            if needed > self._left:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            self._left -= needed
            self._blocks.append(needed)
        return super().__call__(function, inputs)


def make_model(recipe="rtmo-t_coco"):
    init_default_scope("mmpose")
    torch.manual_seed(0)
    config = shrink(Config.fromfile(OUR_CONFIGS / f"{recipe}.py").model)
    config.data_preprocessor.batch_augments = None
    return MODELS.build(config).train().double()


def make_batch(number, size_wh=(64, 64), num_people=(2, 1)):
    torch.manual_seed(number)
    images = torch.rand(len(num_people), 3, *size_wh[::-1]).double() * 255
    return images, make_samples(list(num_people), size_wh=size_wh, seed=number, dtype=torch.float64)


def step(model, batch):
    """Add the gradients of a batch to those of the model, and return its losses."""
    losses = model.loss(*batch)
    sum(losses.values()).backward()
    return {name: float(value.detach()) for name, value in losses.items()}


def read(model):
    """Return everything that a step changes."""
    gradients = {f"{name} (gradient)": each.grad for name, each in model.named_parameters() if each.grad is not None}
    return {**gradients, **dict(model.named_buffers())}


def check_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-8, atol=1e-8, msg=lambda text, name=name: f"{name}: {text}"
        )


def check_steps(model, other, batches):
    for batch in batches:
        assert step(other, batch) == pytest.approx(step(model, batch), rel=1e-9, abs=1e-9)
    check_same(read(other), read(model))
