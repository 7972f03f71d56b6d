"""Transformer encoder on a feature map: laws that hold for any weights."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from rtmo_plugin.models.layers.encoder import EncoderLayer, MapEncoder
from tests.oracle import randomize


def build_encoder(**kwargs):
    encoder = MapEncoder(16, **{"num_heads": 4, "ffn_channels": 24, **kwargs}).double().eval()
    randomize(encoder, seed=0)
    return encoder


def test_without_positions_the_order_of_cells_does_not_matter():
    layer = EncoderLayer(16, 4, 24, 0.0).double()
    tokens, order = torch.randn(2, 12, 16, dtype=torch.float64), torch.randperm(12)
    nowhere = torch.zeros(12, 16, dtype=torch.float64)
    torch.testing.assert_close(layer(tokens[:, order], nowhere), layer(tokens, nowhere)[:, order])


def test_positions_tell_cells_apart():
    encoder, flat = build_encoder(), torch.randn(1, 16, 1, 1, dtype=torch.float64)
    feature = flat.expand(1, 16, 3, 4).clone()
    feature[..., 0, 0] += 1
    encoded = encoder(feature).flatten(2)[0, :, 1:]
    # all cells but the first are alike: only their places can make a difference
    assert torch.cdist(encoded.T, encoded.T).fill_diagonal_(1).min() > 1e-6


def test_queries_and_keys_know_their_places_but_values_do_not():
    layer = EncoderLayer(16, 4, 24, 0.0).double()
    torch.nn.init.zeros_(layer.self_attn.attn.in_proj_weight[:32])  # every cell attends to all alike
    tokens = torch.randn(1, 12, 16, dtype=torch.float64)
    torch.testing.assert_close(layer(tokens, torch.randn_like(tokens[0])), layer(tokens, torch.zeros_like(tokens[0])))


def test_memory_format_does_not_matter_and_is_kept():
    encoder, feature = build_encoder(num_layers=2), torch.randn(2, 16, 3, 5, dtype=torch.float64)
    last = encoder(feature.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, encoder(feature))
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_the_fused_attention_kernel_is_used():
    encoder, feature = build_encoder(), torch.randn(1, 16, 3, 5, dtype=torch.float64)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        encoder.train()(feature)
    assert "aten::scaled_dot_product_attention" in {event.name for event in profiler.events()}


def test_dropout_acts_in_training_alone():
    encoder, feature = build_encoder(dropout=0.5), torch.randn(1, 16, 3, 5, dtype=torch.float64)
    assert torch.equal(encoder(feature), encoder(feature))
    encoder.train()
    assert not torch.equal(encoder(feature), encoder(feature))


def test_no_layers_change_nothing():
    feature = torch.randn(2, 16, 3, 5)
    assert torch.equal(MapEncoder(16, num_layers=0)(feature), feature)


def test_channels_must_divide():
    with pytest.raises(ValueError, match="num_heads=3, got 16"):
        MapEncoder(16, num_heads=3)
