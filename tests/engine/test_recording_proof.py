"""How far two passes may be apart: rounding noise passes, and what is stale, missing or doubled does not."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from rtmo_plugin.engine.recording_proof import compute_eagerly, find_replay_difference, keep_values, measure_difference
from rtmo_plugin.engine.recordings import Recording


def test_difference_is_that_of_the_worst_tensor_by_its_own_size():
    large, small = torch.full((4,), 100.0), torch.full((2, 2), 10.0)
    assert measure_difference([large, small], [large, small]) == 0.0
    assert measure_difference([large, small * 1.5], [large, small]) == pytest.approx(5 / 11)
    assert measure_difference([large * 2, small], [large, small]) == pytest.approx(100 / 101)
    assert measure_difference([large, small * 0], [large, small]) == pytest.approx(10 / 11)


def test_a_tensor_of_noise_beside_large_ones_does_not_count():
    large, noise = torch.full((4,), 100.0), torch.tensor([1e-4, -1e-4])
    assert measure_difference([large, -noise], [large, noise]) < 1e-3


def test_missing_and_non_finite_tensors_are_no_small_difference():
    one = torch.ones(2)
    assert measure_difference([one, None], [one, None]) == 0.0
    assert measure_difference([one, None], [one, one]) == math.inf
    assert math.isnan(measure_difference([one * math.nan], [one]))
    assert measure_difference([], []) == 0.0
    assert measure_difference([one * 0], [one * 0]) == 0.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_half_precision_is_measured_in_full(dtype):
    values = torch.full((70_000,), 100.0, dtype=dtype)  # whose sum of squares float16 cannot hold
    assert measure_difference([values * 1.25], [values]) == pytest.approx(25 / 101)


def test_values_are_kept_also_when_something_fails():
    values = [torch.zeros(2), torch.tensor(3)]

    def fail():
        with keep_values(values):
            for value in values:
                value.add_(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert values[0].tolist() == [0.0, 0.0]
    assert int(values[1]) == 3


@pytest.fixture
def normalized():
    """Return a network with batch norm as a function, its inputs and its buffers."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 2, 1))
    names = [name for name, _ in network.named_parameters()]

    def compute(images, *weights):
        return (functional_call(network, dict(zip(names, weights)), (images,)),)

    weights = [each.detach().requires_grad_() for each in network.parameters()]
    return compute, (torch.rand(2, 3, 8, 8), *weights), list(network.buffers())


def record(compute, inputs, scale=1.0):
    """Return a recording in which outputs are multiplied by ``scale``."""
    outputs = [each.detach() * scale for each in compute(*inputs)]
    gradients = [torch.zeros_like(each) for each in outputs]
    found = [torch.zeros_like(each) for each in inputs[1:]]

    def backward():
        values = torch.autograd.grad(compute(*inputs), inputs[1:], gradients)
        for static, value in zip(found, values):
            static.copy_(value)

    return Recording(inputs, outputs, gradients, found, lambda: None, backward)


def test_proof_leaves_statistics_and_compares_them(normalized):
    compute, inputs, buffers = normalized
    before = [each.clone() for each in buffers]
    expected = compute_eagerly(compute, inputs, buffers)
    assert not expected.is_random
    assert [int(expected.buffers[2]), int(buffers[2])] == [1, 0]
    with keep_values(buffers):
        recording = record(compute, inputs)
    assert find_replay_difference(recording, expected, buffers, torch.float32) is None
    assert all(torch.equal(each, value) for each, value in zip(buffers, before))


@pytest.mark.parametrize(("precision", "limit"), [("float64", 1e-6), ("float32", 0.2), ("bfloat16", 0.6)])
def test_limit_is_that_of_the_precision(normalized, precision, limit):
    compute, inputs, buffers = normalized
    expected = compute_eagerly(compute, inputs, buffers)
    found = []
    for share in (0.9, 1.1):
        with keep_values(buffers):
            recording = record(compute, inputs, scale=1 + 1.01 * limit * share)
        found.append(find_replay_difference(recording, expected, buffers, getattr(torch, precision)))
    assert found[0] is None
    assert found[1].startswith("outputs of a replay differ from those of the network itself by ")


def test_statistics_that_advance_too_far_are_found(normalized):
    compute, inputs, buffers = normalized
    expected = compute_eagerly(compute, inputs, buffers)
    with keep_values(buffers):
        recording = record(compute, inputs)

    def advance():
        recording.backward()
        buffers[0].add_(1.0)

    wrong = replace(recording, backward=advance)
    assert find_replay_difference(wrong, expected, buffers, torch.bfloat16).startswith(
        "changes of the buffers of a replay"
    )


def test_a_function_that_draws_random_numbers_is_known():
    inputs = (torch.rand(2, 3), torch.rand(3, requires_grad=True))
    plain = compute_eagerly(lambda images, weight: (images * weight,), inputs, [])
    drawing = compute_eagerly(lambda images, weight: (functional.dropout(images * weight),), inputs, [])
    assert (plain.is_random, drawing.is_random) == (False, True)
