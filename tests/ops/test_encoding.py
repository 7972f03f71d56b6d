"""Sine encodings: exact small cases, laws, and parity with MMPose."""

import math

import pytest
import torch

from rtmo_plugin.ops.encoding import encode_cells, encode_sine, match_bins
from rtmo_plugin.ops.geometry import allocate_bins


def test_small_case_written_out():
    # Two frequencies: one radian per unit, and one per sqrt(100) = 10 units.
    expected = [math.cos(3), math.cos(0.3), math.sin(3), math.sin(0.3)]
    torch.testing.assert_close(encode_sine(torch.tensor([3.0]), 4, 100), torch.tensor([expected]))


def test_dot_products_depend_on_distance_alone():
    positions = torch.tensor([-7.0, 0.0, 5.5, 400.0], dtype=torch.float64)
    here, there = encode_sine(positions, 32, 300.0), encode_sine(positions + 2.25, 32, 300.0)
    products = (here * there).sum(-1)
    torch.testing.assert_close(products, products[:1].expand(4))
    assert products[0] < 15  # below the 16 of distance zero: the encoding does tell positions apart


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.bfloat16])
def test_coarse_types_are_encoded_in_float32(dtype):
    positions = torch.arange(100, dtype=dtype)
    encoding = encode_sine(positions, 64, 10000)
    assert encoding.dtype == torch.float32
    assert torch.equal(encoding, encode_sine(positions.float(), 64, 10000))


def test_leading_dimensions_are_kept_and_gradients_flow():
    positions = torch.randn(2, 3, 5, requires_grad=True)
    encoding = encode_sine(positions, 6, 300.0)
    assert encoding.shape == (2, 3, 5, 6)
    encoding.sum().backward()
    assert positions.grad.abs().min() > 0


@pytest.mark.parametrize("num_bins", [2, 3, 4, 6, 9, 24])  # blocks: 2, 1, 4, 2, 1, 4
def test_bins_match_as_if_each_were_encoded(num_bins):
    queries = torch.randn(4, 3, 16, dtype=torch.float64, requires_grad=True)
    centers = (50 * torch.randn(4, dtype=torch.float64)).requires_grad_()
    sizes = (200 * torch.rand(4, dtype=torch.float64)).requires_grad_()
    direct = queries @ encode_sine(allocate_bins(centers, sizes, num_bins), 16, 300.0).transpose(-1, -2)
    matched = match_bins(queries, centers, sizes, num_bins, 300.0)
    torch.testing.assert_close(matched, direct, rtol=0, atol=1e-12)
    weights = torch.randn_like(direct)
    gradients = [torch.autograd.grad((weights * out).sum(), [queries, centers, sizes]) for out in (matched, direct)]
    for ours, expected in zip(*gradients):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-11)


def test_cells_have_row_channels_then_column_channels():
    encoding = encode_cells((3, 5), 8, 10000.0).unflatten(0, (3, 5))
    row, column = encode_sine(torch.tensor([2, 4]), 4, 10000.0)
    torch.testing.assert_close(encoding[2, 4], torch.cat([row, column]))
    assert torch.equal(encoding[2, :, :4], encoding[2, :1, :4].expand(5, 4))


def test_long_maps_are_counted_in_float32():
    encoding = encode_cells((1, 600), 8, 10000, dtype=torch.bfloat16)
    assert torch.equal(encoding, encode_cells((1, 600), 8, 10000))


@pytest.mark.parametrize("temperature", [300.0, 10000])
def test_equals_mmpose_on_positions(temperature):
    from mmpose.models.utils.transformer import SinePositionalEncoding

    positions = torch.randn(4, 7) * 300
    oracle = SinePositionalEncoding(128, temperature=temperature, spatial_dim=1)
    torch.testing.assert_close(encode_sine(positions, 128, temperature), oracle(position=positions), rtol=0, atol=1e-4)


def test_equals_mmpose_on_a_map():
    from mmpose.models.utils.transformer import SinePositionalEncoding

    oracle = SinePositionalEncoding(32, temperature=10000, spatial_dim=2)(size=(6, 9))
    expected = oracle.transpose(-1, -2).reshape(6 * 9, 64)
    torch.testing.assert_close(encode_cells((6, 9), 64, 10000), expected)


@pytest.mark.parametrize(
    ("num_channels", "temperature", "message"),
    [(5, 300.0, "even number"), (0, 300.0, "even number"), (4, 0.0, "positive")],
)
def test_wrong_arguments_are_named(num_channels, temperature, message):
    with pytest.raises(ValueError, match=message):
        encode_sine(torch.zeros(1), num_channels, temperature)


def test_a_map_needs_a_multiple_of_four_channels():
    with pytest.raises(ValueError, match="multiple of 4 channels, got 6"):
        encode_cells((2, 2), 6, 10000)
