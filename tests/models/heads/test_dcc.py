"""The Dynamic Coordinate Classifier: the paper's formula, laws, ablations and edges."""

import pytest
import torch
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from rtmo_plugin.models.heads.dcc import DynamicCoordinateClassifier
from rtmo_plugin.ops.encoding import encode_sine
from rtmo_plugin.ops.geometry import allocate_bins
from rtmo_plugin.registry import MODELS

SMALL = {"feat_channels": 16, "num_bins": (24, 32), "encoding_channels": 12, "attention_channels": 8}
SIZE_WH = (128, 96)
ABLATIONS = [
    {},
    {"bin_layout": "image"},
    {"bin_encoding": "learned"},
    {"bin_layout": "image", "bin_encoding": "learned"},
    {"attention_channels": 0},
]


def build(dtype=torch.float64, **options):
    """Return a small classifier of five keypoints, whose parameters are all random."""
    dcc = DynamicCoordinateClassifier(**{"num_keypoints": 5, "in_channels": 10, **SMALL, **options}).to(dtype)
    for parameter in dcc.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    dcc.pose_to_kpts[1].running_mean.normal_()
    dcc.pose_to_kpts[1].running_var.uniform_(0.5, 2)
    return dcc


def make_inputs(num_people=3, dtype=torch.float64, in_channels=10):
    """Return pose vectors, boxes and the priors they come from."""
    centers = 20 + torch.rand(num_people, 2, dtype=dtype) * 60
    sizes = 10 + torch.rand(num_people, 2, dtype=dtype) * 40
    boxes = torch.cat([centers - sizes / 2, centers + sizes / 2], dim=1)
    priors = centers + torch.randn(num_people, 2, dtype=dtype) * 5
    return torch.randn(num_people, in_channels, dtype=dtype), boxes, priors


def classify_as_in_the_paper(dcc, pose_vectors, boxes, priors):
    """Project the encoding of every bin, with its bias, and compare keypoint features with the result."""
    features = dcc.compute_keypoint_features(pose_vectors)
    result = []
    for axis, (fc, num_bins) in enumerate(zip((dcc.x_fc, dcc.y_fc), dcc.num_bins)):
        low, high = boxes[:, axis], boxes[:, axis + 2]
        bins = allocate_bins((low + high) / 2, 1.25 * (high - low), num_bins)
        encodings = fc(encode_sine(bins - priors[:, axis, None], dcc.x_fc.in_features, dcc.temperature))
        probs = torch.einsum("nkc,nxc->nkx", features, encodings).softmax(dim=-1)
        result.append((probs, (probs * bins[:, None]).sum(dim=-1)))
    (probs_x, x), (probs_y, y) = result
    return probs_x, probs_y, torch.stack([x, y], dim=-1)


def test_equals_the_formula_of_the_paper():
    dcc, inputs = build().eval(), make_inputs()
    assert dcc.x_fc.bias.abs().min() > 0
    got = dcc(*inputs)
    for ours, papers in zip((got.probs_x, got.probs_y, got.keypoints), classify_as_in_the_paper(dcc, *inputs)):
        assert_close(ours, papers, rtol=0, atol=1e-12)


def test_gradients_equal_those_of_the_formula_of_the_paper():
    dcc = build().eval()
    inputs = [value.requires_grad_() for value in make_inputs()]
    parameters = [p for name, p in dcc.named_parameters() if p.requires_grad and "sigma" not in name]
    weights = torch.randn(3, 5, 2, dtype=torch.float64)
    ours, papers = (
        torch.autograd.grad((keypoints * weights).sum(), inputs + parameters)
        for keypoints in (dcc(*inputs).keypoints, classify_as_in_the_paper(dcc, *inputs)[2])
    )
    for a, b in zip(ours, papers):
        assert_close(a, b, rtol=1e-9, atol=1e-9)


def count_multiplications(function, *args):
    with FlopCounterMode(display=False) as counter:
        function(*args)
    return counter.get_total_flops() / 2 / len(args[0]) / 1e6


def test_saves_most_of_the_multiplications():
    """RTMO-s: about 11 million a person in the paper's order, 3.7 million in ours."""
    dcc = DynamicCoordinateClassifier(num_keypoints=17, in_channels=256).eval()
    inputs = make_inputs(10, torch.float32, 256)
    assert count_multiplications(dcc, *inputs) < 3.8
    assert count_multiplications(lambda *values: classify_as_in_the_paper(dcc, *values), *inputs) > 10.5


@pytest.mark.parametrize("options", ABLATIONS)
def test_distributions_and_their_expectation(options):
    out = build(**options).eval()(*make_inputs(), SIZE_WH)
    for axis, (probs, bins, num_bins) in enumerate(((out.probs_x, out.bins_x, 24), (out.probs_y, out.bins_y, 32))):
        assert (probs.shape, bins.shape) == ((3, 5, num_bins), (3, num_bins))
        assert_close(probs.sum(dim=-1), torch.ones(3, 5, dtype=torch.float64))
        assert_close(torch.einsum("nkx,nx->nk", probs, bins), out.keypoints[..., axis])
    assert out.sigmas.shape == (3, 5)
    assert (out.sigmas > 0).all()


def test_bins_cover_the_padded_box():
    out = build(box_padding=1.5).eval()(
        torch.randn(1, 10).double(), torch.tensor([[20.0, 30, 40, 70]]).double(), torch.zeros(1, 2).double()
    )
    assert_close(out.bins_x[0, [0, -1]], torch.tensor([15.0, 45]).double())
    assert_close(out.bins_y[0, [0, -1]], torch.tensor([20.0, 80]).double())


def test_keypoints_move_with_box_and_prior():
    dcc, (poses, boxes, priors) = build().eval(), make_inputs()
    move = torch.tensor([31.0, -12.0], dtype=torch.float64)
    moved = dcc(poses, boxes + move.repeat(2), priors + move)
    assert_close(moved.keypoints, dcc(poses, boxes, priors).keypoints + move)


@pytest.mark.parametrize("options", ABLATIONS)
def test_people_are_independent_of_each_other(options):
    dcc, inputs = build(**options).eval(), make_inputs()
    together = dcc(*inputs, SIZE_WH).keypoints
    for n in range(3):
        alone = dcc(*(value[n : n + 1] for value in inputs), SIZE_WH).keypoints
        assert_close(alone[0], together[n])


def test_bins_over_the_image():
    dcc, (poses, boxes, priors) = build(bin_layout="image").eval(), make_inputs()
    out = dcc(poses, boxes, priors, SIZE_WH)
    assert_close(out.bins_x[:, [0, -1]], torch.tensor([[0.0, 128]] * 3).double())
    assert_close(out.bins_y[:, [0, -1]], torch.tensor([[0.0, 96]] * 3).double())
    assert_close(dcc(poses, boxes + 9, priors, SIZE_WH).keypoints, out.keypoints)
    with pytest.raises(ValueError, match="pass size_wh"):
        dcc(poses, boxes, priors)


def test_learned_encodings_do_not_know_where_the_bins_are():
    dcc, (poses, boxes, priors) = build(bin_encoding="learned").eval(), make_inputs()
    out, larger = dcc(poses, boxes, priors), dcc(poses, boxes * 3, priors)
    assert_close(larger.probs_x, out.probs_x)
    assert_close(larger.keypoints, 3 * out.keypoints)
    with_sines = build().eval()
    assert not torch.allclose(with_sines(poses, boxes * 3, priors).probs_x, with_sines(poses, boxes, priors).probs_x)


@pytest.mark.parametrize("options", ABLATIONS)
def test_everything_that_is_trained_has_a_gradient(options):
    dcc = build(**options).train()
    out = dcc(*make_inputs(6), SIZE_WH)
    trained = {name: p for name, p in dcc.named_parameters() if p.requires_grad}
    loss = out.keypoints.square().sum() + out.sigmas.sum()
    for name, gradient in zip(trained, torch.autograd.grad(loss, list(trained.values()))):
        assert gradient.isfinite().all(), name
        assert (gradient != 0).any(), name
    assert set(dict(dcc.named_parameters())) - set(trained) == {"x_fc.bias", "y_fc.bias"}
    assert ("x_encodings" in trained) == (options.get("bin_encoding") == "learned")
    assert ("pos_enc" in trained) == (options.get("attention_channels") != 0)


@pytest.mark.parametrize(("num_people", "is_learning"), [(0, False), (1, False), (2, True)])
def test_statistics_are_learned_from_two_people_or_more(num_people, is_learning):
    dcc, inputs = build().train(), make_inputs(num_people)
    norm = dcc.pose_to_kpts[1]
    before = norm.running_mean.clone(), norm.running_var.clone()
    out = dcc(*inputs)
    assert out.keypoints.shape == (num_people, 5, 2)
    assert torch.equal(norm.running_mean, before[0]) == torch.equal(norm.running_var, before[1]) == (not is_learning)
    assert bool(norm.num_batches_tracked) == is_learning
    if not is_learning:
        assert_close(out.keypoints, dcc.eval()(*inputs).keypoints)


@pytest.mark.parametrize("options", ABLATIONS)
def test_half_precision_moves_keypoints_little(options):
    dcc, (poses, boxes, priors) = build(torch.float32, **options).eval(), make_inputs(dtype=torch.float32)
    exact = dcc(poses, boxes, priors, SIZE_WH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = dcc(poses, boxes, priors, SIZE_WH)
    half = dcc.bfloat16()(poses.bfloat16(), boxes, priors, SIZE_WH)
    for out in (mixed, half):
        assert {value.dtype for value in vars(out).values()} == {torch.float32}
        assert_close(out.keypoints, exact.keypoints, rtol=0, atol=1.5)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"bin_layout": "box"}, "bin_layout is 'dynamic' or 'image', got 'box'"),
        ({"bin_encoding": "cosine"}, "bin_encoding is 'sine' or 'learned', got 'cosine'"),
        ({"num_bins": (192, 1)}, r"at least two bins, got num_bins=\(192, 1\)"),
    ],
)
def test_wrong_options(option, message):
    with pytest.raises(ValueError, match=message):
        build(**option)


@pytest.mark.parametrize("name", ["DCC", "DynamicCoordinateClassifier"])
def test_registered_by_both_names(name):
    dcc = MODELS.build({"type": f"rtmo_plugin.{name}", "num_keypoints": 5, "in_channels": 10, **SMALL})
    assert type(dcc) is DynamicCoordinateClassifier


def test_a_small_initial_gain_starts_from_even_distributions():
    inputs = make_inputs(dtype=torch.float32)
    options = {"num_keypoints": 5, "in_channels": 10, **SMALL}
    spread = {}
    for gain in (1.0, 0.01):
        torch.manual_seed(0)
        probs = DynamicCoordinateClassifier(**options, initial_gain=gain)(*inputs).probs_x
        spread[gain] = (probs * SMALL["num_bins"][0] - 1).abs().max().item()  # 0 is perfectly even
    assert spread[0.01] < 0.1 < spread[1.0]
