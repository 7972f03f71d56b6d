"""RepVGG: two branches are one convolution."""

import copy

import pytest
import torch

from rtmo_plugin.models.layers.repvgg import RepVGGBlock, fold_repvgg
from tests.oracle import randomize

SILU = {"type": "SiLU", "inplace": True}


def build_block(norm_cfg, channels=6, dtype=torch.float64):
    block = RepVGGBlock(channels, norm_cfg, SILU).to(dtype).eval()
    randomize(block, seed=0)
    return block


@pytest.mark.parametrize("norm_cfg", [{"type": "BN"}, {"type": "BN", "eps": 0.1}, {"type": "SyncBN"}, None])
def test_folded_convolution_equals_the_block(norm_cfg):
    block = build_block(norm_cfg)
    x = torch.randn(2, 6, 7, 5, dtype=torch.float64)
    conv = fold_repvgg(block)
    torch.testing.assert_close(block.act(conv(x)), block(x), rtol=1e-12, atol=1e-12)
    assert sum(tensor.numel() for tensor in conv.state_dict().values()) == 6 * 6 * 9 + 6


def test_folding_in_float32_is_close():
    block = build_block({"type": "BN"}, channels=64, dtype=torch.float32)
    x = torch.randn(1, 64, 20, 20)
    torch.testing.assert_close(block.act(fold_repvgg(block)(x)), block(x), rtol=1e-4, atol=1e-5)


def test_folding_leaves_the_block_alone():
    block = build_block({"type": "BN"}).train()
    before = copy.deepcopy(block.state_dict())
    conv = fold_repvgg(block)
    conv.weight.data.zero_()
    assert list(block.state_dict()) == list(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in block.state_dict().items())
    assert block.branch_3x3.conv.bias is None


def test_other_norms_cannot_be_folded():
    with pytest.raises(ValueError, match=r"Only BatchNorm.*GroupNorm"):
        fold_repvgg(build_block({"type": "GN", "num_groups": 2}))
