"""Outputs that become coordinates keep their precision under autocast."""

import torch
from torch import nn

from rtmo_plugin.models.heads.rtmo_head_module import RTMOHeadModule
from rtmo_plugin.models.layers.precision import FullPrecisionConv2d


def make_pair():
    torch.manual_seed(0)
    plain, full = nn.Conv2d(8, 4, 1), FullPrecisionConv2d(8, 4, 1)
    full.load_state_dict(plain.state_dict())
    return plain, full, torch.rand(2, 8, 5, 6)


def test_autocast_leaves_outputs_and_gradients_alone():
    plain, full, maps = make_pair()
    expected = plain(maps.bfloat16().float())
    with torch.autocast("cpu", torch.bfloat16):
        found = full(maps.bfloat16())
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    (gradient,) = torch.autograd.grad(found.square().sum(), full.weight)
    (expected_gradient,) = torch.autograd.grad(expected.square().sum(), plain.weight)
    assert torch.equal(gradient, expected_gradient)


def test_a_model_in_half_precision_stays_in_it():
    plain, full, maps = make_pair()
    found = full.bfloat16()(maps.bfloat16())
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, plain.bfloat16()(maps.bfloat16()))


def test_of_the_head_only_pose_vectors_are_in_half_precision():
    head = RTMOHeadModule(num_classes=1, num_keypoints=5, widen_factor=0.125)
    with torch.autocast("cpu", torch.bfloat16):
        maps = head([torch.rand(2, 64, size, size) for size in (8, 4)], with_proxy=True)
    types = {name: {each.dtype for each in levels} for name, levels in maps._asdict().items()}
    assert types.pop("pose_vectors") == {torch.bfloat16}
    assert all(each == {torch.float32} for each in types.values())
