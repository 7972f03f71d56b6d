"""Channels-last weights from the first step on, also after a checkpoint in the other format was read."""

import copy
from types import SimpleNamespace

import torch
from torch import nn

from rtmo_plugin.registry import HOOKS


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 4, 3), nn.Flatten()).double()


def convert(model):
    HOOKS.build({"type": "rtmo_plugin.ChannelsLastHook"}).before_run(SimpleNamespace(model=model))
    return model


def is_channels_last(tensor):
    return tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()


def test_maps_and_gradients_follow_the_weights():
    model = convert(make_model())
    maps = model[:4](torch.rand(2, 3, 9, 7).double())
    assert is_channels_last(maps)
    maps.square().sum().backward()
    assert is_channels_last(model[0].weight.grad)


def test_numbers_stay_and_parameters_stay_themselves():
    model, image = make_model(), torch.rand(2, 3, 9, 7).double()
    expected, before = model(image), list(model.parameters())
    torch.testing.assert_close(convert(model)(image), expected, rtol=1e-12, atol=1e-12)
    assert all(a is b for a, b in zip(before, model.parameters(), strict=True))  # the optimizer holds them


def test_a_checkpoint_in_the_other_format_keeps_the_weights_channels_last():
    model = make_model()
    saved = copy.deepcopy(model.state_dict())
    convert(model).load_state_dict(saved)
    assert is_channels_last(model[0].weight)
    assert torch.equal(model[0].weight, saved["0.weight"])
