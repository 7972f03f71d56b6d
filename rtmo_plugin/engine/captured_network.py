"""The network of a training step as CUDA graphs: one replay forward and one backward, without Python between kernels.

A graph is recorded for each size of batches when it first comes, and replayed afterwards. What is recorded is the
backbone, the neck and the head's convolutions, whose shapes do not depend on the number of people. All graphs share one
memory pool, since only one is replayed at a time: forward, backward, then perhaps another.
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn
from torch.func import functional_call

from rtmo_plugin.models.heads.rtmo_head_module import RawMaps, RTMOHeadModule

Function = Callable[..., tuple[Tensor, ...]]
_NUM_WARM_UPS = 3  # cuDNN chooses its algorithms in the first


@dataclass(frozen=True)
class Recording:
    """A function of tensors that is computed in place, again and again.

    Attributes:
        inputs: Tensors that the recorded work reads: images, then weights, which share the memory of the model's.
        outputs: Tensors that ``forward`` writes.
        output_gradients: Tensors that ``backward`` reads.
        weight_gradients: Tensors that ``backward`` writes; None for a weight that does not matter.
        forward: Computes the outputs.
        backward: Computes the gradients of the last ``forward``.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    output_gradients: tuple[Tensor, ...]
    weight_gradients: tuple[Tensor | None, ...]
    forward: Callable[[], None]
    backward: Callable[[], None]


class Recorder(Protocol):
    """Way to record a function."""

    def find_obstacle(self, device: torch.device) -> str | None:
        """Return why nothing can be recorded on a device, as the end of a sentence, or None."""

    def __call__(self, function: Function, inputs: tuple[Tensor, ...]) -> Recording:
        """Record a function and its gradient by all inputs but the first.

        Raises:
            RuntimeError: It cannot be recorded.
        """


class CUDARecorder:
    """Records CUDA graphs that share one memory pool."""

    def __init__(self) -> None:
        self._pool: Any = None

    def find_obstacle(self, device: torch.device) -> str | None:
        """Return why nothing can be recorded on a device, as the end of a sentence, or None."""
        return None if device.type == "cuda" else f"they need an NVIDIA GPU, and this run uses the device {device.type}"

    def __call__(self, function: Function, inputs: tuple[Tensor, ...]) -> Recording:
        """Record a function and its gradient by all inputs but the first.

        Raises:
            RuntimeError: The function does what a graph cannot contain, such as a wait for the device.
        """
        weights, here, aside = inputs[1:], torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(here)
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        # Other threads, such as the one that pins batches, may call what is forbidden within a capture.
        options = {"pool": self._pool, "capture_error_mode": "thread_local"}
        forward, backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        try:
            with torch.cuda.stream(aside):
                for _ in range(_NUM_WARM_UPS):
                    outputs = function(*inputs)
                    gradients = tuple(torch.zeros_like(each) for each in outputs)
                    torch.autograd.grad(outputs, weights, gradients, allow_unused=True)
            del outputs
            with torch.cuda.graph(forward, **options):
                outputs = function(*inputs)
            with torch.cuda.graph(backward, **options):
                found = torch.autograd.grad(outputs, weights, gradients, allow_unused=True)
        finally:
            torch.cuda.set_stream(here)  # torch stays in the stream of a capture that fails
            here.wait_stream(aside)
        return Recording(
            inputs, tuple(each.detach() for each in outputs), gradients, found, forward.replay, backward.replay
        )


class _Replay(torch.autograd.Function):
    """A recording as one node of the gradient graph."""

    @staticmethod
    def forward(ctx: Any, recording: Recording, images: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.recording = recording
        recording.inputs[0].copy_(images)
        for recorded, weight in zip(recording.inputs[1:], weights):
            if recorded.data_ptr() != weight.data_ptr():  # the weights have moved since
                recorded.detach().copy_(weight)
        recording.forward()
        return tuple(each.detach() for each in recording.outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        recording: Recording = ctx.recording
        for recorded, gradient in zip(recording.output_gradients, gradients):
            recorded.copy_(gradient)
        recording.backward()
        # The next replay overwrites these gradients, and a parameter keeps what it is given: where they are accumulated
        # over several batches, it would add the new ones to themselves.
        found = [each for each in recording.weight_gradients if each is not None]
        copies = iter(torch._foreach_mul(found, 1.0) if found else ())
        return None, None, *(None if each is None else next(copies) for each in recording.weight_gradients)


class CapturedNetwork:
    """Replays a model's network in training; takes the place of the model's ``extract_feat``.

    The network runs as before in validation, and for batches that are smaller than others, as the last one of an epoch.
    If it cannot be recorded, it runs as before from then on, with a warning.

    Args:
        model: Estimator whose head has a ``head_module``.
        recorder: Way to record.
        warn: Function that takes a warning.
    """

    def __init__(self, model: Any, recorder: Recorder, warn: Callable[[str], Any]) -> None:
        self._extract_feat = model.extract_feat
        self._model, self._recorder, self._warn = model, recorder, warn
        self._network = _Network(model)
        self._recordings: dict[Any, Recording] = {}
        self._batch_size = 0
        self._has_failed = False

    def __call__(self, images: Tensor) -> Any:
        """Return the head's raw maps where they can be replayed, else the features."""
        if self._has_failed or not (self._model.training and torch.is_grad_enabled()):
            return self._extract_feat(images)
        self._batch_size = max(self._batch_size, len(images))
        weights = {name: each for name, each in self._network.named_parameters() if each.requires_grad}
        if len(images) < self._batch_size or not weights:
            return self._extract_feat(images)
        precision = _read_autocast(images.device.type)
        # A recording reads and writes buffers and frozen weights where they were.
        fixed = [each for each in self._network.parameters() if not each.requires_grad]
        places = tuple(each.data_ptr() for each in (*self._network.buffers(), *fixed))
        key = (images.shape, images.dtype, precision, tuple(weights), places)
        if key not in self._recordings:
            try:
                self._recordings[key] = self._record(images, weights, precision)
            except RuntimeError as error:  # torch's errors of CUDA
                self._has_failed = True
                self._recordings.clear()
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                self._warn(f"CUDA graphs are not used any more, because the network cannot be recorded: {reason}")
                return self._extract_feat(images)
        maps = _Replay.apply(self._recordings[key], images, *weights.values())  # type: ignore[no-untyped-call]
        num_levels = len(maps) // len(RawMaps._fields)
        return RawMaps(*(list(maps[first : first + num_levels]) for first in range(0, len(maps), num_levels)))

    def _record(self, images: Tensor, weights: Mapping[str, Tensor], precision: torch.dtype | None) -> Recording:
        """Record the network for batches like ``images``; the model stays as it is."""
        device_type = images.device.type

        def compute(pixels: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
            # Without the cache of converted weights: each replay converts them.
            with torch.autocast(device_type, dtype=precision, enabled=precision is not None, cache_enabled=False):
                maps: tuple[Tensor, ...] = functional_call(self._network, dict(zip(weights, values)), (pixels,))
            return maps

        pixels = torch.empty_like(images, memory_format=torch.channels_last).copy_(images)
        # Tensors of their own on the memory of the weights: those of the model belong to the gradient graphs of the
        # step and of distributed training, which would become a part of the recording.
        shared = [weight.detach().requires_grad_() for weight in weights.values()]
        devices = [images.device] if images.is_cuda else []
        with torch.autocast(device_type, enabled=False), torch.random.fork_rng(devices), _keep_buffers(self._network):
            return self._recorder(compute, (pixels, *shared))


class _Network(nn.Module):
    """The parts of an estimator that compute the head's raw maps: images in, all maps in one tuple out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = getattr(model, "neck", None)
        self.head_module = model.head.head_module

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.backbone(images)
        features = features if self.neck is None else self.neck(features)
        return tuple(chain.from_iterable(self.head_module(features, with_proxy=True)))


def find_obstacle(model: Any) -> str | None:
    """Return why the network of a model cannot be recorded, as the end of a sentence, or None."""
    head = getattr(model, "head", None)
    if not isinstance(getattr(head, "head_module", None), RTMOHeadModule):
        return f"the head is {type(head).__name__}, which has no head_module of type RTMOHeadModule"
    if getattr(type(model), "extract_feat", None) is not BasePoseEstimator.extract_feat:
        return f"{type(model).__name__} has an extract_feat of its own"
    for name, module in _Network(model).named_modules():
        obstacles = {
            "is a SyncBatchNorm, which talks to other processes": "SyncBatchNorm" in type(module).__name__,
            "computes its maps again in the backward pass (with_cp=True)": getattr(module, "with_cp", False),
            "is compiled": getattr(module, "_compiled_call_impl", None) is not None,
            "has hooks, which would not be called": any(
                (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
            ),
        }
        for obstacle, is_met in obstacles.items():
            if is_met:
                return f"{name} {obstacle}"
    return None


@contextmanager
def _keep_buffers(network: nn.Module) -> Iterator[None]:
    """Undo what happens to the buffers inside, such as the statistics of batch norm."""
    buffers = list(network.buffers())
    before = [each.clone() for each in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before):
                buffer.copy_(value)


def _read_autocast(device_type: str) -> torch.dtype | None:
    """Return the type of mixed precision here, or None."""
    if hasattr(torch, "get_autocast_dtype"):  # PyTorch 2.4 and newer
        return torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else None
    if device_type == "cpu":
        return torch.get_autocast_cpu_dtype() if torch.is_autocast_cpu_enabled() else None
    return torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else None
