"""Work that is recorded once and then replayed in the same memory: CUDA graphs.

https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

Function = Callable[..., tuple[Tensor, ...]]
NO_MEMORY = "the GPU has too little memory to record the network, and a smaller batch would leave some"
# Words of errors of cuDNN, by PyTorch, and of cuBLAS where they find no memory for a workspace.
_NO_WORKSPACE = ("unable to find an engine", "STATUS_ALLOC_FAILED")
_NUM_WARM_UPS = 3  # cuDNN chooses its algorithms in the first


class RecordingError(RuntimeError):
    """A recording cannot be made or used; the message is the end of a sentence."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error comes from too little memory of the GPU, for which libraries have words of their own."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(words in str(error) for words in _NO_WORKSPACE)


def explain_failure(error: RuntimeError) -> str:
    """Return why a recording failed, as the end of a sentence."""
    while isinstance(error.__context__, RuntimeError):  # the end of a capture fails as well, and says less
        error = error.__context__
    if isinstance(error, RecordingError):
        return str(error)
    if is_out_of_memory(error):
        return NO_MEMORY
    return f"the network cannot be recorded ({(str(error).splitlines() or [type(error).__name__])[0]})"


@dataclass(frozen=True)
class Recording:
    """A function of tensors that is computed in place, again and again.

    Attributes:
        inputs: Tensors that the recorded work reads: images, then weights, which share the memory of the model's.
        outputs: Tensors that ``forward`` writes.
        output_gradients: Tensors that ``backward`` reads.
        weight_gradients: Tensors that ``backward`` writes; None for a weight that does not matter.
        forward: Computes the outputs.
        backward: Computes the gradients of the last ``forward``, once.
        num_bytes: Memory that the function holds between forward and backward pass where it is not recorded.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    output_gradients: tuple[Tensor, ...]
    weight_gradients: tuple[Tensor | None, ...]
    forward: Callable[[], None]
    backward: Callable[[], None]
    num_bytes: int = 0


class Recorder(Protocol):
    """Way to record functions, of which one is replayed at a time."""

    def find_obstacle(self, device: torch.device) -> str | None:
        """Return why nothing can be recorded on a device, as the end of a sentence, or None."""

    def __call__(self, function: Function, inputs: tuple[Tensor, ...]) -> Recording:
        """Record a function and its gradient by all inputs but the first; it is called several times.

        Raises:
            RuntimeError: It cannot be recorded.
        """

    def has_room_for(self, num_bytes: int) -> bool:
        """Tell whether so much memory can be had while all recordings are kept."""

    def release(self) -> None:
        """Give the memory of recordings back to the device, after the last reference to them is gone."""


@dataclass(frozen=True)
class ForwardRecording:
    """A function of one tensor that is computed in place, again and again, without gradients.

    Attributes:
        outputs: Tensors that ``replay`` writes.
        replay: Computes the outputs for what is in the memory of the input by then.
    """

    outputs: tuple[Tensor, ...]
    replay: Callable[[], None]


class ForwardRecorder(Protocol):
    """Way to record functions without gradients."""

    def find_obstacle(self, device: torch.device) -> str | None:
        """Return why nothing can be recorded on a device, as the end of a sentence, or None."""

    def record_forward(self, function: Function, given: Tensor) -> ForwardRecording:
        """Record a function of a tensor; it is called several times.

        Raises:
            RuntimeError: It cannot be recorded.
        """

    def release(self) -> None:
        """Give the memory of recordings back to the device, after the last reference to them is gone."""


class CUDARecorder:
    """Records CUDA graphs that share one memory pool.

    A graph's intermediate results are overwritten by every other graph of the pool, so that a backward pass must
    follow its forward pass before anything else is replayed.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self._stream: Any = None

    def find_obstacle(self, device: torch.device) -> str | None:
        """Return why nothing can be recorded on a device, as the end of a sentence, or None."""
        if device.type == "cuda" and torch.version.hip is None:
            return None
        kind = "an AMD GPU" if device.type == "cuda" else f"the device {device.type}"
        return f"they need an NVIDIA GPU, and this run uses {kind}"

    def __call__(self, function: Function, inputs: tuple[Tensor, ...]) -> Recording:
        """Record a function and its gradient by all inputs but the first.

        Raises:
            RuntimeError: The function does what a graph cannot contain, such as a wait for the device, or the GPU
                has too little memory.
        """
        weights, here = inputs[1:], torch.cuda.current_stream()
        # Memory of a pool is shared by graphs of the same stream, and what libraries allocate for a stream at first
        # use, such as the workspace of cuBLAS, must not belong to a graph.
        aside = self._stream = self._stream or torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        # Other threads, such as the one that pins batches, may call what is forbidden within a capture.
        options = {"pool": self._pool, "stream": aside, "capture_error_mode": "thread_local"}
        forward, backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        aside.wait_stream(here)
        try:
            with torch.cuda.stream(aside):
                for number in range(_NUM_WARM_UPS):
                    with _refuse_waits() if number else nullcontext():  # libraries may wait at first use
                        allocated = torch.cuda.memory_allocated()
                        outputs = function(*inputs)
                        allocated = torch.cuda.memory_allocated() - allocated
                        gradients = tuple(torch.zeros_like(each) for each in outputs)
                        differentiate(outputs, weights, gradients)
                        del outputs
            with _postpone_collection():
                with torch.cuda.graph(forward, **options):
                    outputs = function(*inputs)
                with torch.cuda.graph(backward, **options):
                    found = differentiate(outputs, weights, gradients)
        finally:
            torch.cuda.set_stream(here)  # torch stays in the stream of a capture that fails
            here.wait_stream(aside)
        kept = tuple(each.detach() for each in outputs)
        return Recording(inputs, kept, gradients, found, forward.replay, backward.replay, allocated)

    def record_forward(self, function: Function, given: Tensor) -> ForwardRecording:
        """Record a function of a tensor as a graph in the current stream, which must not be the default one.

        Raises:
            RuntimeError: The function does what a graph cannot contain, or the GPU has too little memory.
        """
        stream, graph = torch.cuda.current_stream(), torch.cuda.CUDAGraph()
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        try:
            for _ in range(_NUM_WARM_UPS):
                function(given)
            # Other threads may compute meanwhile.
            options = {"pool": self._pool, "stream": stream, "capture_error_mode": "thread_local"}
            with _postpone_collection(), torch.cuda.graph(graph, **options):
                outputs = function(given)
        finally:
            torch.cuda.set_stream(stream)  # torch stays in the stream of a capture that fails
        return ForwardRecording(outputs, graph.replay)

    def has_room_for(self, num_bytes: int) -> bool:
        """Tell whether the GPU has so much free memory, after PyTorch gave back what it keeps for later."""
        if torch.cuda.mem_get_info()[0] < num_bytes:
            torch.cuda.empty_cache()
        return torch.cuda.mem_get_info()[0] >= num_bytes

    def release(self) -> None:
        """Give the memory of the pool back; later recordings share a new one."""
        self._pool = None  # torch refuses a pool that no graph refers to any more
        gc.collect()
        torch.cuda.empty_cache()


@contextmanager
def _postpone_collection() -> Iterator[None]:
    """Collect no garbage: to free another graph or pinned memory is forbidden within a capture."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _refuse_waits() -> Iterator[None]:
    """Let PyTorch raise an error where it would wait for the device.

    Within a capture it would raise one, too, but then stay in the state of a capture: tensors that several streams use
    are never freed again, and random numbers are refused.
    """
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it does not find all waits
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def differentiate(
    outputs: Sequence[Tensor], weights: Sequence[Tensor], gradients: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """Return the gradients of weights, None for those that do not matter.

    Args:
        outputs: Results of a function; those that depend on no weight are left out.
        weights: Tensors to differentiate by.
        gradients: Gradient of each output.
    """
    pairs = [(output, gradient) for output, gradient in zip(outputs, gradients) if output.requires_grad]
    return torch.autograd.grad([each for each, _ in pairs], weights, [each for _, each in pairs], allow_unused=True)
