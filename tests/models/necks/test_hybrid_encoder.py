"""HybridEncoder against MMPose 1.3.2's with the same weights, and on its own."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import load_state_dict
from mmengine.utils import digit_version
from mmpose.registry import MODELS as MMPOSE_MODELS
from torch import nn

from rtmo_plugin.models.necks import HybridEncoder
from tests.models.necks.comparison import assert_close, assert_same_numbers, make_features
from tests.oracle import load_official, randomize

RECIPES = ("rtmo-t_body7", "rtmo-s_coco", "rtmo-m_coco", "rtmo-l_coco")
BUFFER = "sincos_pos_enc.dim_t"
SMALL = {"widen_factor": 0.25, "deepen_factor": 0.33, "hidden_channels": 32, "ffn_channels": 48}


def build_theirs(recipe="rtmo-s_coco", dtype=torch.float32, **overrides):
    """Return MMPose's neck, randomised."""
    torch.manual_seed(0)
    theirs = MMPOSE_MODELS.build({**load_official(recipe).model.neck, **overrides})
    randomize(theirs, seed=0)
    theirs.to(dtype)
    if dtype == torch.float64:  # a float32 number in MMPose, also when the rest is float64
        theirs.sincos_pos_enc.dim_t = 10000 ** (torch.arange(64, dtype=dtype) / 64)
    return theirs


def build_pair(recipe="rtmo-s_coco", dtype=torch.float32):
    """Return our neck and MMPose's with equal weights."""
    theirs = build_theirs(recipe, dtype)
    ours = HybridEncoder(*(load_official(recipe).model.neck[key] for key in ("widen_factor", "deepen_factor")))
    ours.to(dtype).load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def build_small(**kwargs):
    torch.manual_seed(0)
    neck = HybridEncoder(**{**SMALL, **kwargs})
    randomize(neck, seed=0)
    return neck.eval()


# L computes what M does with more layers and channels; test_parameters_stand_in_mmpose_order has all sizes.
def mark_m(recipe, *others):
    """Return the parameters of a size, marked ``slow`` for M."""
    return pytest.param(recipe, *others, marks=pytest.mark.slow if recipe == "rtmo-m_coco" else ())


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize(
    ("recipe", "size_hw"), [*(mark_m(recipe, (64, 96)) for recipe in RECIPES), (RECIPES[1], (64, 64))]
)
def test_numbers_and_gradients_equal_mmpose(recipe, size_hw, training):
    ours, theirs = build_pair(recipe, torch.float64)
    features = make_features(ours.in_channels, size_hw, dtype=torch.float64)
    assert_same_numbers(ours.train(training), theirs.train(training), features)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("recipe", map(mark_m, RECIPES))
def test_float32_equals_mmpose(recipe, training):
    ours, theirs = build_pair(recipe)
    assert_same_numbers(ours.train(training), theirs.train(training), make_features(ours.in_channels, (96, 64)))


def test_several_encoder_levels_and_layers_equal_mmpose():
    theirs = build_theirs(dtype=torch.float64, use_encoder_idx=[1, 2], num_encoder_layers=2)
    ours = HybridEncoder(0.5, 0.33, encoder_levels=(4, 5), num_encoder_layers=2).double()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert_same_numbers(ours, theirs, make_features(ours.in_channels, dtype=torch.float64))


@pytest.mark.parametrize("recipe", RECIPES)
def test_parameters_stand_in_mmpose_order(recipe):
    ours, theirs = build_pair(recipe)
    shapes = [[(name, parameter.shape) for name, parameter in neck.named_parameters()] for neck in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_state_dict_goes_back_to_mmpose():
    ours, theirs = build_pair()
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert missing == [BUFFER]
    assert not unexpected


@pytest.mark.parametrize("load", [nn.Module.load_state_dict, load_state_dict], ids=["torch", "mmengine"])
def test_upstream_buffer_is_dropped_on_load_without_a_word(load, capsys):
    _, theirs = build_pair()
    model = nn.ModuleDict({"neck": HybridEncoder(0.5, 0.33)})
    weights = {f"neck.{name}": tensor for name, tensor in theirs.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(model, weights, strict=True)
    assert capsys.readouterr() == ("", "")
    assert f"neck.{BUFFER}" in weights
    assert torch.equal(model["neck"].input_proj[0].conv.weight, theirs.input_proj[0].conv.weight)


def test_other_unknown_keys_are_still_refused():
    neck = build_small()
    with pytest.raises(RuntimeError, match="stranger"):
        neck.load_state_dict({**neck.state_dict(), "stranger": torch.zeros(1)})


def test_initialized_as_in_mmpose():
    config = load_official("rtmo-s_coco").model
    weights = []
    for build in (lambda: HybridEncoder(0.5, 0.33), lambda: MMPOSE_MODELS.build(config.neck)):
        torch.manual_seed(7)
        estimator = BaseModule(init_cfg=config.init_cfg)
        estimator.neck = build()
        torch.manual_seed(8)
        estimator.init_weights()
        weights.append(dict(estimator.named_parameters()))
    for name, tensor in weights[1].items():
        assert torch.equal(weights[0][name], tensor), name


def test_defect_11_norm_cfg_reaches_every_layer():
    neck = build_small(norm_cfg={"type": "GN", "num_groups": 4})
    assert not [name for name, module in neck.named_modules() if isinstance(module, nn.BatchNorm2d)]
    num_convs = sum(isinstance(module, nn.Conv2d) for module in neck.modules())
    assert sum(isinstance(module, nn.GroupNorm) for module in neck.modules()) == num_convs
    eps = build_small(norm_cfg={"type": "BN", "eps": 0.25})
    assert {module.eps for module in eps.modules() if isinstance(module, nn.BatchNorm2d)} == {0.25}


def test_defect_11_works_without_encoder_level():
    neck = build_small(encoder_levels=())
    outputs = neck(make_features(neck.in_channels))
    assert [tuple(output.shape) for output in outputs] == [(2, 128, 4, 6), (2, 128, 2, 3)]
    assert not [name for name in neck.state_dict() if name.startswith("encoder")]


def test_defect_13_constructor_leaves_configs_alone():
    cfgs = {"norm_cfg": {"type": "GN", "num_groups": 4}, "act_cfg": {"type": "ReLU"}, "in_channels": [64, 128, 256]}
    lists = {"out_levels": [4, 5], "encoder_levels": [5], "init_cfg": {"type": "Xavier", "layer": "Conv2d"}}
    given = {**SMALL, **cfgs, **lists}
    before, defaults = copy.deepcopy(given), copy.deepcopy(HybridEncoder.__init__.__kwdefaults__)
    HybridEncoder(**given)
    HybridEncoder(**SMALL)
    assert given == before
    assert HybridEncoder.__init__.__kwdefaults__ == defaults


@pytest.mark.parametrize("out_levels", [(3,), (4,), (5,), (3, 4), (3, 5), (4, 5)])
def test_any_levels_out_are_those_of_all_and_every_parameter_is_used(out_levels):
    everything, some = build_small(out_levels=(3, 4, 5)), build_small(out_levels=out_levels)
    features = make_features(everything.in_channels)
    names = {f"projector.convs.{i}": f"projector.convs.{level - 3}" for i, level in enumerate(out_levels)}
    source = everything.state_dict()
    some.load_state_dict(
        {name: source[name.replace(name[:17], names.get(name[:17], name[:17]))] for name in some.state_dict()}
    )
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


def test_channels_last_stays_channels_last_and_gives_the_same():
    neck = build_small().double()
    expected = neck(make_features(neck.in_channels, dtype=torch.float64))
    neck = neck.to(memory_format=torch.channels_last)
    features = make_features(neck.in_channels, dtype=torch.float64, memory_format=torch.channels_last)
    for output, reference in zip(neck(features), expected):
        assert output.is_contiguous(memory_format=torch.channels_last)
        assert_close(output, reference, 1e-12)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_autocast_is_close_to_float32(training):
    neck = build_small().train(training)
    features = make_features(neck.in_channels, (128, 192))
    expected = neck(features)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = neck(features)
    for output, reference in zip(outputs, expected):
        assert_close(output.float(), reference, 0.05)


def test_runs_in_half_precision_throughout():
    neck = build_small().bfloat16()
    outputs = neck(make_features(neck.in_channels, dtype=torch.bfloat16))
    assert {output.dtype for output in outputs} == {torch.bfloat16}


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_a_trace_at_one_size_serves_another():
    neck = build_small()
    traced = torch.jit.trace(neck, (make_features(neck.in_channels, (64, 96), 1),), check_trace=False)
    features = make_features(neck.in_channels, (160, 128), 2)
    for output, expected in zip(traced(features), neck(features)):
        torch.testing.assert_close(output, expected)


@pytest.mark.skipif(digit_version(torch.__version__) < digit_version("2.6"), reason="needs PyTorch 2.6")
def test_exports_with_dynamic_batch_height_and_width():
    neck = build_small()
    batch, height, width = (torch.export.Dim(name, min=2, max=64) for name in ("batch", "height", "width"))
    shapes = [{0: batch, 2: scale * height, 3: scale * width} for scale in (4, 2, 1)]
    exported = torch.export.export(neck, (make_features(neck.in_channels),), dynamic_shapes=(shapes,))
    features = make_features(neck.in_channels, (160, 128), 3)
    for output, expected in zip(exported.module()(features), neck(features)):
        torch.testing.assert_close(output, expected)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"in_channels": (64, 128)}, r"one number for each of P3, P4 and P5, got \(64, 128\)"),
        ({"out_levels": (4, 6)}, r"out_levels must be one or more of \(3, 4, 5\).*got \(4, 6\)"),
        ({"out_levels": (5, 4)}, "out_levels"),
        ({"out_levels": (4, 4)}, "out_levels"),
        ({"out_levels": ()}, "out_levels"),
        ({"encoder_levels": (2,)}, r"encoder_levels must be any of \(3, 4, 5\)"),
        ({"hidden_channels": 36, "num_heads": 8}, "num_heads=8.*36"),
        ({"hidden_channels": 30, "num_heads": 5}, "multiple of 4.*30"),
    ],
)
def test_wrong_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        HybridEncoder(**{**SMALL, **kwargs})


def test_wrong_features_are_named():
    neck = build_small()
    features = make_features(neck.in_channels)
    with pytest.raises(ValueError, match=r"3 feature maps.*got 2"):
        neck(features[:2])
    with pytest.raises(ValueError, match=r"\(64, 128, 256\) channels.*widen_factor"):
        neck(make_features((128, 256, 512)))
    with pytest.raises(ValueError, match="multiples of 32"):
        neck([features[0][..., :-1], *features[1:]])
