"""The network of a training step as CUDA graphs: one replay forward and one backward, without Python between kernels.

A graph is recorded for each size of batches when it first comes, compared with the network itself, and replayed
afterwards. What is recorded is the backbone, the neck and the convolutions of ``RTMOHead``, whose shapes do not depend
on the number of people; of other heads nothing. All graphs share one memory pool, since only one is replayed at a time:
forward, backward, then perhaps another.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn
from torch.func import functional_call

from rtmo_plugin.engine.recording_proof import compute_eagerly, find_replay_difference, keep_values
from rtmo_plugin.engine.recordings import NO_MEMORY, Recorder, Recording, RecordingError, explain_failure
from rtmo_plugin.models.heads.rtmo_head import RTMOHead
from rtmo_plugin.models.heads.rtmo_head_module import RawMaps

_MOST_SIZES = 64  # each keeps its input, its outputs and a copy of the gradients; multi-scale training has 11
_MOST_RESTARTS = 20  # recording everything again takes seconds


class _Turn:
    """A forward pass by replay; it is over after its backward pass, or when nothing refers to it any more."""

    is_over = False


class _Replay(torch.autograd.Function):
    """A recording as one node of the gradient graph."""

    @staticmethod
    def forward(ctx: Any, turn: _Turn, recording: Recording, images: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.turn, ctx.recording = turn, recording
        recording.inputs[0].copy_(images)
        for recorded, weight in zip(recording.inputs[1:], weights):
            if recorded.data_ptr() != weight.data_ptr():  # the weights have moved since
                recorded.detach().copy_(weight)
        recording.forward()
        return tuple(each.detach() for each in recording.outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.turn.is_over:
            raise RuntimeError(
                "A second backward pass of the same batch cannot be replayed: train without CUDA graphs (--no-graphs)."
            )
        recording: Recording = ctx.recording
        for recorded, gradient in zip(recording.output_gradients, gradients):
            recorded.copy_(gradient)
        recording.backward()
        ctx.turn.is_over = True
        # The next replay overwrites these gradients, and a parameter keeps what it is given: where they are accumulated
        # over several batches, it would add the new ones to themselves.
        found = [each for each in recording.weight_gradients if each is not None]
        copies = iter(torch._foreach_mul(found, 1.0) if found else ())
        return None, None, None, *(None if each is None else next(copies) for each in recording.weight_gradients)


class CapturedNetwork:
    """Replays a model's network in training; takes the place of the model's ``extract_feat``.

    A recording is made with other images and weights than those of the step, and then has to compute the outputs,
    gradients and buffers of the network itself (see ``find_replay_difference``). If it does not, or cannot be made, the
    network runs as before from then on, with a warning, and the memory of all recordings is given back.

    The network also runs as before in validation, for batches that are smaller than others, as the last one of an
    epoch, and while the backward pass of an earlier replay is to come. Where the GPU has no room for that, or for a
    larger size beside the recorded ones, the recordings are given up and made again later. They are made again, too,
    when other weights are trained than before.

    Args:
        model: Estimator without an obstacle, see ``find_obstacle``.
        recorder: Way to record.
        warn: Function that takes a warning.

    Attributes:
        failure: Why nothing is recorded any more, as the end of a sentence, or None.
    """

    def __init__(self, model: Any, recorder: Recorder, warn: Callable[[str], Any]) -> None:
        self._extract_feat = model.extract_feat
        self._model, self._recorder, self._warn = model, recorder, warn
        self._network = _Network(model)
        self._parts = _Parts(model, self._network)
        self._recordings: dict[Any, Recording] = {}
        self._state: Any = None
        self._num_restarts = self._batch_size = 0
        self._turn: Callable[[], _Turn | None] = lambda: None
        self._has_replayed = False
        self.failure: str | None = None

    @property
    def lacks_memory(self) -> bool:
        """Whether nothing is recorded because the GPU has too little memory."""
        return self.failure == NO_MEMORY

    def __call__(self, images: Tensor) -> Any:
        """Return the head's raw maps, or the features of another head, by replay or as before."""
        is_training = self._model.training and torch.is_grad_enabled() and not images.requires_grad
        if self.failure is not None or not is_training:
            return self._run_network(images)
        self._batch_size = max(self._batch_size, len(images))
        turn = self._turn()
        is_pending = turn is not None and not turn.is_over  # another replay would overwrite what its gradient needs
        if len(images) < self._batch_size or is_pending:
            return self._run_network(images)
        weights = self._check_parts()
        recording = self._find_recording(images, weights) if weights and self.failure is None else None
        if recording is None:
            return self._run_network(images)
        turn = _Turn()
        maps = _Replay.apply(turn, recording, images, *weights.values())  # type: ignore[no-untyped-call]
        self._turn, self._has_replayed = weakref.ref(turn), True
        return self._network.join(maps)

    def _run_network(self, images: Tensor) -> Any:
        """Run the network as before, after making room for it where a replay came before."""
        if self._has_replayed and self._recordings:
            needed = max(each.num_bytes for each in self._recordings.values())
            if not self._recorder.has_room_for(needed + needed // 4):  # a backward pass needs a little more
                self._forget()
        self._has_replayed = False
        return self._extract_feat(images)

    def _find_recording(self, images: Tensor, weights: Mapping[str, Tensor]) -> Recording | None:
        """Return the recording for batches like ``images``, a new one if there is none, or None if it fails."""
        precision = _read_autocast(images.device.type)
        key = (images.shape, images.dtype, precision)
        if key in self._recordings:
            return self._recordings[key]
        reason = self._try_to_record(key, images, weights)
        if reason == NO_MEMORY and self._recordings:
            # A larger size cannot use the memory of smaller ones. They can use its, if it is recorded before them.
            self._forget()
            reason = self.failure or self._try_to_record(key, images, weights)
        if reason is not None and self.failure is None:
            self._give_up(reason)
        return self._recordings.get(key)

    def _try_to_record(self, key: Any, images: Tensor, weights: Mapping[str, Tensor]) -> str | None:
        """Record the network for batches like ``images``; return why that failed, as the end of a sentence, or None."""
        try:
            if len(self._recordings) == _MOST_SIZES:
                raise RecordingError(f"batches have more than {_MOST_SIZES} sizes")
            self._recordings[key] = self._record(images, weights, key[-1])
        except RuntimeError as error:  # torch's errors of CUDA as well
            return explain_failure(error)
        return None

    def _give_up(self, reason: str) -> None:
        """Let the network run as before from now on."""
        self.failure = reason
        self._recordings.clear()
        self._recorder.release()
        self._warn(f"CUDA graphs are not used any more: {reason}.")

    def _check_parts(self) -> dict[str, Tensor]:
        """Return the weights that are trained; forget the recordings of a network with other parts, modes or memory."""
        if self._parts.are_outdated():
            self._network = _Network(self._model)
            self._parts = _Parts(self._model, self._network)
            self._state = None
        weights = self._parts.list_weights()
        state = (tuple(weights), self._parts.list_modes(), self._parts.list_places())
        if state != self._state and self._recordings:
            self._forget()
        self._state = state
        return weights

    def _forget(self) -> None:
        """Give up all recordings, to make them again when they are needed."""
        self._num_restarts += 1
        if self._num_restarts > _MOST_RESTARTS:
            self._give_up(
                f"they would have to be recorded more than {_MOST_RESTARTS} times, because other weights were trained "
                "or the GPU had no room for them beside validation, smaller batches and other sizes"
            )
        self._recordings.clear()
        self._recorder.release()

    def _record(self, images: Tensor, weights: Mapping[str, Tensor], precision: torch.dtype | None) -> Recording:
        """Record the network for batches like ``images``, and compare; the model stays as it is.

        Raises:
            RecordingError: A replay computes something else.
        """
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
        buffers = list(self._network.buffers())
        devices = [images.device] if images.is_cuda else []
        with torch.autocast(device_type, enabled=False), torch.random.fork_rng(devices):
            expected = compute_eagerly(compute, (pixels, *shared), buffers)
            if expected.is_random:
                raise RecordingError("the network draws random numbers, as dropout does")
            with keep_values(buffers), _replace_values(pixels, shared):
                recording = self._recorder(compute, (pixels, *shared))
            difference = find_replay_difference(recording, expected, buffers, precision or shared[0].dtype)
        if difference is not None:
            raise RecordingError(difference)
        return recording


class _Network(nn.Module):
    """The parts of an estimator that are recorded: images in, all maps in one tuple out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = getattr(model, "neck", None)
        # The loss of this head takes raw maps in place of features.
        has_maps = getattr(type(model.head), "loss", None) is RTMOHead.loss
        self.head_module = model.head.head_module if has_maps else None
        self._kind: type = tuple

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.backbone(images)
        features = features if self.neck is None else self.neck(features)
        if self.head_module is not None:
            return tuple(chain.from_iterable(self.head_module(features, with_proxy=True)))
        self._kind = type(features)
        if self._kind not in (list, tuple) or not all(isinstance(each, Tensor) for each in features):
            raise RecordingError("the features are not a list of tensors")
        return tuple(features)

    def join(self, maps: Sequence[Tensor]) -> Any:
        """Return what the head takes, made of the result of ``forward``."""
        if self.head_module is None:
            return self._kind(maps)
        num_levels = len(maps) // len(RawMaps._fields)
        return RawMaps(*(list(maps[first : first + num_levels]) for first in range(0, len(maps), num_levels)))


class _Parts:
    """Parameters, buffers and modes of a network, read in each step without a walk through its hundreds of modules.

    Args:
        model: Estimator.
        network: Its parts that are recorded.
    """

    def __init__(self, model: Any, network: nn.Module) -> None:
        self._modules = list(network.modules())
        self._children = [(each, tuple(each._modules.values())) for each in (model, model.head, *self._modules)]
        self._weights = [(name, *_find_owner(network, name)) for name, _ in network.named_parameters()]
        self._buffers = [_find_owner(network, name) for name, _ in network.named_buffers()]

    def are_outdated(self) -> bool:
        """Tell whether a module has other children than before."""
        return any(tuple(each._modules.values()) != kept for each, kept in self._children)

    def list_weights(self) -> dict[str, Tensor]:
        """Return the parameters that are trained, by name."""
        found = ((name, owner._parameters[key]) for name, owner, key in self._weights)
        return {name: weight for name, weight in found if weight is not None and weight.requires_grad}

    def list_modes(self) -> tuple[bool, ...]:
        """Return which modules are in training mode."""
        return tuple([each.training for each in self._modules])

    def list_places(self) -> tuple[int, ...]:
        """Return the memory of buffers and frozen weights, which a recording reads and writes where they were."""
        fixed = [owner._parameters[key] for _, owner, key in self._weights]
        buffers = [owner._buffers[key] for owner, key in self._buffers]
        frozen = [each for each in fixed if each is not None and not each.requires_grad]
        return tuple([each.data_ptr() for each in (*buffers, *frozen) if each is not None])


def _find_owner(network: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the module of a parameter or buffer, and its name there."""
    path, _, key = name.rpartition(".")
    return network.get_submodule(path), key


@contextmanager
def _replace_values(images: Tensor, weights: Sequence[Tensor]) -> Iterator[None]:
    """Mirror images and shift weights by an output channel, in place, so that what is recorded cannot know theirs."""
    values = [images.data, *(each.data for each in weights)]  # as gradient graphs must not notice
    with keep_values(values):
        images.data.copy_(images.data.flip(-1))
        for value in values[1:]:
            value.copy_(value.roll(1, 0) if value.ndim else value)
        yield


def find_obstacle(model: Any) -> str | None:
    """Return why the network of a model cannot be recorded, as the end of a sentence, or None."""
    if getattr(type(model), "extract_feat", None) is not BasePoseEstimator.extract_feat:
        return f"{type(model).__name__} has an extract_feat of its own"
    if getattr(model, "head", None) is None:
        return f"{type(model).__name__} has no head"
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


def _read_autocast(device_type: str) -> torch.dtype | None:
    """Return the type of mixed precision here, or None."""
    if hasattr(torch, "get_autocast_dtype"):  # PyTorch 2.4 and newer
        return torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else None
    if device_type == "cpu":
        return torch.get_autocast_cpu_dtype() if torch.is_autocast_cpu_enabled() else None
    return torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else None
