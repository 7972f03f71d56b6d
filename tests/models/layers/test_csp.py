"""Layers that read two levels of the pyramid: as if the coarser one were upsampled and put before the finer one."""

import pytest
import torch
import torch.nn.functional as F

from rtmo_plugin.export.folding import fold
from rtmo_plugin.models.layers.csp import CSPLayer, CSPRepLayer, TwoLevelConv

CFGS = {"norm_cfg": {"type": "BN"}, "act_cfg": {"type": "SiLU"}}


def make_layer(kind):
    torch.manual_seed(0)
    if kind is TwoLevelConv:
        layer = TwoLevelConv(6, 4, 1, **CFGS)
    else:
        layer = kind(6, 4, num_blocks=1, **CFGS, **({"expansion": 0.5} if kind is CSPRepLayer else {}))
    for module in layer.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
            module.running_mean.normal_()
    return layer.double()


@pytest.mark.parametrize("kind", [TwoLevelConv, CSPRepLayer, CSPLayer])
@pytest.mark.parametrize("training", [True, False])
def test_two_levels_are_read_as_one_map(kind, training):
    layer = make_layer(kind).train(training)
    fine, coarse = (torch.randn(2, c, s, 2 * s, dtype=torch.float64, requires_grad=True) for c, s in ((4, 6), (2, 3)))
    joined = torch.cat([F.interpolate(coarse, scale_factor=2.0, mode="nearest"), fine], dim=1)
    inputs = [fine, coarse, *layer.parameters()]
    ours, expected = layer(fine, coarse), layer(joined)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    weights = torch.randn_like(expected)
    gradients = [torch.autograd.grad((weights * out).sum(), inputs) for out in (ours, expected)]
    for one, other in zip(*gradients):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("norm_cfg", [{"type": "BN"}, {"type": "GN", "num_groups": 2}, None])
def test_norms_are_folded(norm_cfg):
    layer = TwoLevelConv(6, 4, 1, norm_cfg=norm_cfg, act_cfg=None).eval()
    fine, coarse = torch.randn(1, 4, 6, 6), torch.randn(1, 2, 3, 3)
    folded = fold(torch.nn.Sequential(layer))[0]
    torch.testing.assert_close(folded(fine, coarse), layer(fine, coarse))
    assert (len(list(folded.children())) == len(list(layer.children()))) == (
        norm_cfg is None or norm_cfg["type"] == "GN"
    )
