"""Proof that a recording computes what the function computes: outputs, gradients and changes of buffers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from rtmo_plugin.engine.recordings import Function, Recording, differentiate

# Largest difference, as a share of a tensor's size, by the precision of the computation. The recorded kernels may sum
# in another order than those of the function. RTMO-s with random weights and noise for images doubts most: its
# outputs move by 0.17 and its gradients by 0.46 in bfloat16 where the memory format of the images is another. What is
# stale, missing or added twice is off by 1 or more. TensorFloat32, with which GPUs convolve in float32, has three
# bits more than bfloat16.
_LIMITS = {torch.float64: 1e-6, torch.float32: 0.2, torch.bfloat16: 0.6, torch.float16: 0.6}
_FLOOR = 0.01  # of the largest tensor's size; smaller ones, such as gradients that cancel out, are rounding noise


@dataclass(frozen=True)
class EagerPass:
    """Forward and backward pass of a function, as PyTorch runs it.

    Attributes:
        output_gradients: Gradients that the backward pass started from.
        outputs: Results of the function.
        weight_gradients: Gradients by all inputs but the first.
        buffers: Buffers afterwards.
        is_random: Whether the function drew random numbers.
    """

    output_gradients: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weight_gradients: tuple[Tensor | None, ...]
    buffers: tuple[Tensor, ...]
    is_random: bool


def compute_eagerly(function: Function, inputs: tuple[Tensor, ...], buffers: Sequence[Tensor]) -> EagerPass:
    """Run a function and its gradient for random gradients of the outputs; buffers stay as they are.

    Args:
        function: Function to record.
        inputs: (B, 3, H, W) images, then weights.
        buffers: Tensors that the function may change in place.
    """
    with keep_values(buffers):
        state = _read_random_state(inputs[0].device)
        outputs = function(*inputs)
        is_random = not torch.equal(_read_random_state(inputs[0].device), state)
        # Gradients of weights, which are sums over cells, are then about 1, in the range of float16.
        gradients = tuple(torch.randn_like(each) / each[:, 0].numel() ** 0.5 for each in outputs)
        found = differentiate(outputs, inputs[1:], gradients)
        changed = tuple(each.clone() for each in buffers)
    return EagerPass(gradients, tuple(each.detach() for each in outputs), found, changed, is_random)


def find_replay_difference(
    recording: Recording, expected: EagerPass, buffers: Sequence[Tensor], precision: torch.dtype
) -> str | None:
    """Return how a replay differs from the function, as the end of a sentence, or None; buffers stay as they are.

    Args:
        recording: Recording of the function, whose inputs have the values of ``expected``.
        expected: What the function computes.
        buffers: Buffers as they were before ``expected``.
        precision: Type of the numbers in the computation, which decides how much rounding may differ.
    """
    before = [each.clone() for each in buffers]
    with keep_values(buffers):
        recording.forward()
        outputs = [each.clone() for each in recording.outputs]
        for recorded, gradient in zip(recording.output_gradients, expected.output_gradients):
            recorded.copy_(gradient)
        recording.backward()
        changed = [each.clone() for each in buffers]
    is_real = [each.is_floating_point() for each in buffers]
    if any(not real and not torch.equal(*pair) for real, *pair in zip(is_real, changed, expected.buffers)):
        return "a replay counts other batches in its buffers than the network itself"
    changes = [
        [after - start for real, after, start in zip(is_real, values, before) if real]
        for values in (changed, expected.buffers)
    ]
    checks: tuple[tuple[str, Sequence[Tensor | None], Sequence[Tensor | None]], ...] = (
        ("outputs", outputs, expected.outputs),
        ("gradients", recording.weight_gradients, expected.weight_gradients),
        ("changes of the buffers", changes[0], changes[1]),
    )
    found_differences = (find_difference(*check, precision) for check in checks)
    return next((each for each in found_differences if each is not None), None)


def find_difference(
    name: str, found: Sequence[Tensor | None], expected: Sequence[Tensor | None], precision: torch.dtype
) -> str | None:
    """Return by how much results of a replay differ from those of the network, as the end of a sentence, or None.

    Args:
        name: Name of the results, in plural.
        found: Results of the replay; None for what does not exist.
        expected: Results of the network.
        precision: Type of the numbers in the computation, which decides how much rounding may differ.
    """
    difference = measure_difference(found, expected)
    if difference <= _LIMITS[precision]:
        return None
    return f"{name} of a replay differ from those of the network itself by {difference:.2g} of their size"


def measure_difference(found: Sequence[Tensor | None], expected: Sequence[Tensor | None]) -> float:
    """Return the largest difference of two lists of tensors, as a share of the size of a tensor.

    Sizes are root mean squares; those of tensors that are much smaller than the largest one count as a hundredth of it.

    Args:
        found: Tensors; None for one that does not exist.
        expected: Tensors of the same shapes.

    Returns:
        The difference; infinity where one side lacks a tensor, NaN where there are numbers that are not finite.

    Examples:
        >>> round(measure_difference([torch.tensor([3.0, 0.0])], [torch.tensor([2.0, 0.0])]), 3)
        0.495
    """
    if [each is None for each in found] != [each is None for each in expected]:
        return float("inf")
    pairs = [(one, other) for one, other in zip(found, expected) if one is not None and other is not None]
    if not pairs:
        return 0.0
    errors = torch.stack([_measure_size(one - other) for one, other in pairs])
    sizes = torch.stack([_measure_size(other) for _, other in pairs])
    sizes = sizes + _FLOOR * sizes.max()
    return float((errors / sizes.clamp(min=torch.finfo(sizes.dtype).tiny)).max())


def _measure_size(values: Tensor) -> Tensor:
    """Return the root mean square of numbers, as float64."""
    dtype = torch.promote_types(values.dtype, torch.float32)
    norm: Tensor = torch.linalg.vector_norm(values, dtype=dtype)
    return norm.double() / math.sqrt(max(values.numel(), 1))


def _read_random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


@contextmanager
def keep_values(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Undo what happens to tensors inside, such as to the statistics of batch norm."""
    before = [each.detach().clone() for each in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, before):
                tensor.copy_(value)
