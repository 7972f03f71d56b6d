"""Channels-last weights from the first step on, also after a checkpoint in the other format was read."""

import copy
from types import SimpleNamespace

import torch
from torch import nn

from rtmo_plugin.config.edits import prepare_config
from rtmo_plugin.engine import hooks  # noqa: F401  (before the runner, which needs them)
from rtmo_plugin.engine.runner import build_runner
from rtmo_plugin.registry import HOOKS
from tests.tiny_runs import make_tiny


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


def test_weights_have_their_order_before_they_are_wrapped_for_several_processes(tmp_path):
    """DDP lays out gradients like the weights that it is given, and a fused optimizer reads both in memory order."""
    cfg = prepare_config(make_tiny("rtmo-t_coco"), work_dir=tmp_path)
    weight = build_runner(cfg).model.backbone.stage1[0].conv.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
