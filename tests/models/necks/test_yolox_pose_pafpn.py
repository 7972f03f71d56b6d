"""YOLOXPosePAFPN against MMPose 1.3.2's YOLOXPAFPN with the same weights, and on its own."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.model import BaseModule
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import nn

from rtmo_plugin.models.necks import YOLOXPosePAFPN
from tests.models.necks.comparison import assert_close, assert_same_numbers, make_features
from tests.oracle import load_official, randomize

# widen factor, deepen factor
SIZES = {"t": (0.375, 0.33), "s": (0.5, 0.33), "m": (0.75, 0.67), "l": (1.0, 1.0)}
SMALL = {"widen_factor": 0.125, "deepen_factor": 0.33}


def build_theirs(size):
    """Return MMPose's neck as its YOLOX-Pose configs set it up, randomised."""
    widen, deepen = SIZES[size]
    torch.manual_seed(0)
    theirs = MMPOSE_MODELS.build(
        {
            "type": "YOLOXPAFPN",
            "in_channels": [int(channels * widen) for channels in (256, 512, 1024)],
            "out_channels": int(512 * widen),
            "num_csp_blocks": round(3 * deepen),
            "norm_cfg": {"type": "BN", "momentum": 0.03, "eps": 0.001},
            "act_cfg": {"type": "Swish"},
        }
    )
    randomize(theirs, seed=0)
    return theirs


def build_pair(size, dtype=torch.float32):
    """Return our neck and MMPose's with equal weights."""
    theirs = build_theirs(size).to(dtype)
    ours = YOLOXPosePAFPN(*SIZES[size], out_levels=(3, 4, 5)).to(dtype)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def build_small(**kwargs):
    torch.manual_seed(0)
    neck = YOLOXPosePAFPN(**{**SMALL, **kwargs})
    randomize(neck, seed=0)
    return neck.eval()


# L computes what M does with more layers and channels; test_parameters_stand_in_mmpose_order_and_go_back has all sizes.
def mark_m(size, *others):
    """Return the parameters of a size, marked ``slow`` for M."""
    return pytest.param(size, *others, marks=pytest.mark.slow if size == "m" else ())


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize(("size", "size_hw"), [*(mark_m(size, (64, 96)) for size in SIZES), ("s", (64, 64))])
def test_numbers_and_gradients_equal_mmpose(size, size_hw, training):
    ours, theirs = build_pair(size, torch.float64)
    features = make_features(ours.in_channels, size_hw, dtype=torch.float64)
    assert_same_numbers(ours.train(training), theirs.train(training), features)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("size", map(mark_m, SIZES))
def test_float32_equals_mmpose(size, training):
    ours, theirs = build_pair(size)
    assert_same_numbers(ours.train(training), theirs.train(training), make_features(ours.in_channels, (96, 64)))


@pytest.mark.parametrize("size", SIZES)
def test_parameters_stand_in_mmpose_order_and_go_back(size):
    ours, theirs = build_pair(size)
    shapes = [[(name, parameter.shape) for name, parameter in neck.named_parameters()] for neck in (ours, theirs)]
    assert shapes[0] == shapes[1]
    theirs.load_state_dict(ours.state_dict(), strict=True)


@pytest.mark.parametrize("with_estimator", [False, True])
def test_initialized_as_in_mmpose(with_estimator):
    weights = []
    for build in (lambda: YOLOXPosePAFPN(0.5, 0.33, out_levels=(3, 4, 5)), lambda: build_theirs("s")):
        estimator = BaseModule(init_cfg=load_official("rtmo-s_coco").model.init_cfg if with_estimator else None)
        estimator.neck = build()
        torch.manual_seed(8)
        estimator.init_weights()
        weights.append({name: p for name, p in estimator.named_parameters() if ".conv.weight" in name})
    for name, tensor in weights[1].items():
        assert torch.equal(weights[0][name], tensor), name


def test_norm_cfg_reaches_every_layer():
    neck = build_small(norm_cfg={"type": "GN", "num_groups": 4})
    assert not [name for name, module in neck.named_modules() if isinstance(module, nn.BatchNorm2d)]
    num_convs = sum(isinstance(module, nn.Conv2d) for module in neck.modules())
    assert sum(isinstance(module, nn.GroupNorm) for module in neck.modules()) == num_convs


def test_defect_13_constructor_leaves_configs_alone():
    cfgs = {"norm_cfg": {"type": "GN", "num_groups": 4}, "act_cfg": {"type": "ReLU"}}
    lists = {"in_channels": [32, 64, 128], "out_levels": [4, 5], "init_cfg": {"type": "Xavier", "layer": "Conv2d"}}
    given = {**SMALL, **cfgs, **lists}
    before, defaults = copy.deepcopy(given), copy.deepcopy(YOLOXPosePAFPN.__init__.__kwdefaults__)
    YOLOXPosePAFPN(**given)
    YOLOXPosePAFPN(**SMALL)
    assert given == before
    assert YOLOXPosePAFPN.__init__.__kwdefaults__ == defaults


@pytest.mark.parametrize("out_levels", [(3,), (4,), (5,), (3, 4), (3, 5), (4, 5)])
def test_any_levels_out_are_those_of_all_and_every_parameter_is_used(out_levels):
    everything, some = build_small(out_levels=(3, 4, 5)), build_small(out_levels=out_levels)
    features = make_features(everything.in_channels)
    missing, _ = some.load_state_dict(
        {name: tensor for name, tensor in everything.state_dict().items() if "out_convs" not in name}
        | {
            name.replace(f"out_convs.{level - 3}", f"out_convs.{index}"): tensor
            for index, level in enumerate(out_levels)
            for name, tensor in everything.state_dict().items()
            if f"out_convs.{level - 3}" in name
        },
        strict=False,
    )
    assert not missing
    outputs = some(features)
    for level, output, expected in zip(out_levels, outputs, [everything(features)[level - 3] for level in out_levels]):
        torch.testing.assert_close(output, expected, msg=f"P{level}")
    sum(output.square().sum() for output in outputs).backward()
    assert not [name for name, parameter in some.named_parameters() if parameter.grad is None]


def test_batch_of_two_is_two_batches_of_one():
    neck = build_small().double()
    both = make_features(neck.in_channels, dtype=torch.float64)
    first, second = ([feature[i : i + 1] for feature in both] for i in range(2))
    for together, one, other in zip(neck(both), neck(first), neck(second)):
        assert_close(together, torch.cat([one, other]), 1e-12)


def test_channels_last_and_autocast_give_the_same():
    neck = build_small(out_levels=(3, 4, 5))
    expected = neck(make_features(neck.in_channels))
    neck = neck.to(memory_format=torch.channels_last)
    features = make_features(neck.in_channels, memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = neck(features)
    for output, coarse, reference in zip(neck(features), reduced, expected):
        assert output.is_contiguous(memory_format=torch.channels_last)
        assert_close(output, reference, 1e-5)
        assert_close(coarse.float(), reference, 0.05)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"in_channels": (64, 128)}, r"one number for each of P3, P4 and P5, got \(64, 128\)"),
        ({"out_levels": (4, 6)}, r"out_levels must be one or more of \(3, 4, 5\).*got \(4, 6\)"),
        ({"out_levels": ()}, "out_levels"),
    ],
)
def test_wrong_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        YOLOXPosePAFPN(**{**SMALL, **kwargs})


def test_wrong_features_are_named():
    neck = build_small()
    features = make_features(neck.in_channels)
    with pytest.raises(ValueError, match=r"3 feature maps.*got 2"):
        neck(features[:2])
    with pytest.raises(ValueError, match=r"\(32, 64, 128\) channels.*widen_factor"):
        neck(make_features((64, 128, 256)))
