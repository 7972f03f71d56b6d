"""Losses: values worked out by hand, laws, and MMPose's losses as the oracle."""

import math

import pytest
import torch
import torch.nn.functional as F
from mmpose.models import losses as mmpose_losses
from torch.testing import assert_close

from rtmo_plugin.models.losses import (
    BoxL1Loss,
    IoULoss,
    KLCCLoss,
    MLECCLoss,
    OKSLoss,
    VariFocalLoss,
    VisibilityLoss,
)
from rtmo_plugin.models.losses.coordinates import measure_bin_distances
from rtmo_plugin.ops.geometry import allocate_bins
from rtmo_plugin.registry import MODELS
from rtmo_plugin.structures import CoordinateDistribution

LN2 = math.log(2)


def test_all_losses_are_registered():
    for name in ("BoxL1Loss", "IoULoss", "KLCCLoss", "MLECCLoss", "OKSLoss", "VariFocalLoss", "VisibilityLoss"):
        assert type(MODELS.build({"type": f"rtmo_plugin.{name}"})).__name__ == name


@pytest.mark.parametrize(("mode", "value"), [("linear", 0.5 + 0.75), ("square", 0.75 + 0.9375), ("log", 3 * LN2)])
def test_iou_loss(mode, value):
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [5, 5, 9, 9]])
    targets = torch.tensor([[0.0, 0, 10, 5], [0, 0, 5, 5], [5, 5, 9, 9]])
    assert_close(IoULoss(mode)(boxes, targets), torch.tensor(value))
    theirs = mmpose_losses.IoULoss(reduction="sum", mode=mode, eps=1e-16)
    assert_close(IoULoss(mode)(boxes, targets), theirs(boxes, targets))


def test_iou_loss_of_boxes_apart_is_finite():
    apart = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[20.0, 0, 30, 10]])
    assert [float(IoULoss(mode)(*apart)) for mode in ("linear", "square")] == [1.0, 1.0]
    assert_close(IoULoss("log")(*apart), torch.tensor(16 * math.log(10)))


def test_iou_loss_of_unknown_mode():
    with pytest.raises(ValueError, match="mode is 'linear', 'square' or 'log', got 'cube'"):
        IoULoss("cube")


def test_box_l1_loss_is_a_sum():
    assert BoxL1Loss()(torch.tensor([[1.0, -1, 2, 0], [0, 0, 0, 1]]), torch.zeros(2, 4)) == 5


@pytest.mark.parametrize(
    ("logit", "target", "value"),
    [
        (0.0, 0.0, 0.75 * 0.25 * LN2),  # a negative, weighted by its own probability
        (0.0, 0.8, 0.8 * LN2),  # a positive, weighted by its target
        (0.0, 1e-4, (0.75 * 0.25 + 1e-4) * LN2),  # still a negative
        (50.0, 0.0, 0.75 * 10.0000454),  # clipped at 10
        (-50.0, 1.0, 10.0000454),
    ],
)
def test_varifocal_loss(logit, target, value):
    shape = (1, 1, 1)
    got = VariFocalLoss()(torch.full(shape, logit), torch.full(shape, target), torch.ones(shape))
    assert_close(got, torch.tensor(value), rtol=1e-5, atol=0)


def test_varifocal_loss_equals_mmposes():
    logits, targets, weights = torch.randn(2, 30, 1) * 4, torch.rand(2, 30, 1), torch.rand(2, 30, 1)
    targets[:, 5:] = 0
    theirs = mmpose_losses.VariFocalLoss(use_target_weight=True, reduction="sum", alpha=0.6, gamma=1.5)
    expected = theirs(logits.view(-1, 1).clone(), targets.view(-1, 1), weights.view(-1, 1))
    assert_close(VariFocalLoss(alpha=0.6, gamma=1.5)(logits, targets, weights), expected)


def test_varifocal_loss_without_weight_is_nothing():
    assert VariFocalLoss()(torch.randn(1, 5, 1), torch.rand(1, 5, 1), torch.zeros(1, 5, 1)) == 0


def test_visibility_loss_is_the_mean_over_people_and_keypoints():
    logits, visible = torch.zeros(2, 3), torch.tensor([[1.0, 0, 1], [0, 0, 1]])
    weights = torch.tensor([[1.0, 1, 0], [1, 0.5, 0]])
    assert_close(VisibilityLoss()(logits, visible, weights), torch.tensor(3.5 / 6 * LN2))
    theirs = mmpose_losses.BCELoss(use_target_weight=True, use_sigmoid=False)  # which applies one
    logits = torch.randn(2, 3)
    assert_close(VisibilityLoss()(logits, visible, weights), theirs(logits, visible, weights))


def test_oks_loss_divides_by_all_keypoints():
    """One of two keypoints labeled and found: half of the loss is left."""
    keypoints, targets = torch.tensor([[[1.0, 2.0], [9.0, 9.0]]]), torch.tensor([[[1.0, 2.0], [0.0, 0.0]]])
    sigmas, area = torch.tensor([0.1, 0.1]), torch.tensor([4.0])
    assert_close(OKSLoss()(keypoints, targets, torch.tensor([[1.0, 0.0]]), area, sigmas), torch.tensor(0.5))
    assert_close(OKSLoss()(keypoints, targets, torch.tensor([[1.0, 1.0]]), area, sigmas), torch.tensor(0.5))
    assert_close(OKSLoss()(keypoints, targets, torch.zeros(1, 2), area, sigmas), torch.tensor(1.0))


def make_distribution(num_people=3, num_bins=(24, 32), sigma=None, dtype=torch.float64):
    """Return a random distribution over bins of a hundred pixels around (50, 60)."""
    centers = torch.tensor([50.0, 60.0], dtype=dtype).repeat(num_people, 1)
    sizes = torch.full((num_people, 2), 100.0, dtype=dtype)
    probs = [torch.randn(num_people, 17, n, dtype=dtype).softmax(dim=-1) for n in num_bins]
    bins = [allocate_bins(centers[:, a], sizes[:, a], n) for a, n in enumerate(num_bins)]
    sigmas = (
        torch.rand(num_people, 17, dtype=dtype) * 0.1
        if sigma is None
        else torch.full((num_people, 17), sigma, dtype=dtype)
    )
    return CoordinateDistribution(*probs, *bins, sigmas, centers[:, None].expand(-1, 17, -1))


def make_targets(num_people=3, dtype=torch.float64):
    keypoints = 20 + torch.rand(num_people, 17, 2, dtype=dtype) * 60
    return keypoints, (torch.rand(num_people, 17) > 0.3).to(dtype), 400 + torch.rand(num_people, dtype=dtype) * 3000


def change(distribution, **fields):
    return CoordinateDistribution(**vars(distribution) | fields)


def test_bin_distances_are_relative_to_the_person_and_at_least_one_pixel():
    bins, targets = torch.tensor([[0.0, 10.0], [0.0, 10.0]]), torch.tensor([[4.0], [4.0]])
    assert measure_bin_distances(bins, targets, torch.tensor([64.0, 0.01])).tolist() == [[[0.5, 0.75]], [[4.0, 6.0]]]


def test_mle_loss_of_a_certain_hit():
    """All probability in the bin of the label: minus the log of two Laplace densities at their peak."""
    distribution = make_distribution(1, sigma=0.05)
    for probs in (distribution.probs_x, distribution.probs_y):
        probs.zero_()[..., 3] = 1
    targets = torch.stack([distribution.bins_x[0, 3], distribution.bins_y[0, 3]]).expand(1, 17, 2)
    visible, areas = torch.ones(1, 17).double(), torch.full((1,), 900.0).double()
    loss = MLECCLoss()(distribution, targets, visible, areas)
    assert_close(loss, torch.tensor(-2 * math.log(1 / 0.05)).double(), rtol=1e-6, atol=0)
    far = MLECCLoss()(distribution, targets + 1e5, visible, areas)
    assert_close(far, torch.tensor(-math.log(1e-4)).double())
    sharp = MLECCLoss()(change(distribution, sigmas=distribution.sigmas * 0), targets, visible, areas)
    assert_close(sharp, torch.tensor(-2 * math.log(1e3)).double(), rtol=1e-6, atol=0)


def test_mle_loss_equals_its_formula_written_with_loops():
    distribution, (targets, visible, areas) = make_distribution(2), make_targets(2)
    total = 0.0
    for n in range(2):
        for k in range(17):
            sigma, likelihood = max(float(distribution.sigmas[n, k]), 1e-3), 1.0
            for probs, bins, target in (
                (distribution.probs_x, distribution.bins_x, targets[n, k, 0]),
                (distribution.probs_y, distribution.bins_y, targets[n, k, 1]),
            ):
                distances = [abs(float(target - b)) / math.sqrt(areas[n]) for b in bins[n]]
                likelihood *= sum(float(p) * math.exp(-d / sigma / 2) / sigma for p, d in zip(probs[n, k], distances))
            total -= math.log(likelihood + 1e-4) * float(visible[n, k])
    assert_close(MLECCLoss()(distribution, targets, visible, areas), torch.tensor(total / 34).double())


@pytest.mark.parametrize("loss", [MLECCLoss(), KLCCLoss(), MLECCLoss(learned_sigma=False)])
def test_coordinate_losses_do_not_depend_on_place_or_unit(loss):
    distribution, (targets, visible, areas) = make_distribution(), make_targets()
    expected = loss(distribution, targets, visible, areas)
    moved = change(distribution, bins_x=distribution.bins_x + 7, bins_y=distribution.bins_y - 3)
    assert_close(loss(moved, targets + torch.tensor([7.0, -3.0]), visible, areas), expected)
    larger = change(distribution, bins_x=distribution.bins_x * 5, bins_y=distribution.bins_y * 5)
    assert_close(loss(larger, targets * 5, visible, areas * 25), expected)


@pytest.mark.parametrize("loss", [MLECCLoss(), KLCCLoss()])
def test_coordinate_losses_of_people_are_averaged_and_unlabeled_keypoints_do_not_count(loss):
    distribution, (targets, visible, areas) = make_distribution(), make_targets()
    each = [
        loss(change(distribution, **{k: v[i : i + 1] for k, v in vars(distribution).items()}),
             targets[i : i + 1], visible[i : i + 1], areas[i : i + 1])
        for i in range(3)
    ]  # fmt: skip
    assert_close(loss(distribution, targets, visible, areas), torch.stack(each).mean())
    elsewhere = torch.where(visible[..., None] > 0, targets, targets + 30)
    assert_close(loss(distribution, elsewhere, visible, areas), loss(distribution, targets, visible, areas))
    assert loss(distribution, targets, visible * 0, areas) == 0


def test_fixed_sigma_takes_the_place_of_the_learned_one():
    distribution, (targets, visible, areas) = make_distribution(), make_targets()
    distribution.sigmas.requires_grad_()
    fixed = MLECCLoss(learned_sigma=False, fixed_sigma=0.07)(distribution, targets, visible, areas)
    expected = MLECCLoss()(make_like(distribution, 0.07), targets, visible, areas)
    assert_close(fixed, expected)
    # a zero gradient rather than none: distributed training waits for one
    assert (torch.autograd.grad(fixed, distribution.sigmas)[0] == 0).all()
    learned = MLECCLoss()(distribution, targets, visible, areas)
    assert (torch.autograd.grad(learned, distribution.sigmas)[0] != 0).any()


def make_like(distribution, sigma):
    return change(distribution, sigmas=torch.full_like(distribution.sigmas, sigma))


def make_gaussians(distribution, targets, areas, sigma):
    """Return the discrete Gaussians around the labels, which KLCCLoss pulls to."""
    return [
        (-((targets[:, :, axis, None] - bins[:, None]) / areas.sqrt()[:, None, None] / sigma).square() / 2).softmax(-1)
        for axis, bins in enumerate((distribution.bins_x, distribution.bins_y))
    ]


def test_kl_loss_is_the_divergence_from_a_gaussian():
    distribution, (targets, visible, areas) = make_distribution(), make_targets()
    truth = make_gaussians(distribution, targets, areas, sigma=0.08)
    expected = sum(
        F.kl_div(probs.log(), gaussian, reduction="none").sum(dim=-1)
        for probs, gaussian in zip((distribution.probs_x, distribution.probs_y), truth)
    )
    got = KLCCLoss(sigma=0.08)(distribution, targets, visible, areas)
    assert_close(got, (expected * visible).mean())
    assert got > 0
    perfect = change(distribution, probs_x=truth[0], probs_y=truth[1])
    assert_close(KLCCLoss(sigma=0.08)(perfect, targets, visible, areas), torch.zeros(()).double(), rtol=0, atol=1e-12)


def test_kl_loss_of_an_impossible_bin_is_finite():
    distribution, (targets, visible, areas) = make_distribution(dtype=torch.float32), make_targets(dtype=torch.float32)
    certain = torch.zeros_like(distribution.probs_x)
    certain[..., 0] = 1
    certain.requires_grad_()
    loss = KLCCLoss()(change(distribution, probs_x=certain), targets, visible, areas)
    assert loss.isfinite()
    assert torch.autograd.grad(loss, certain)[0].isfinite().all()


@pytest.mark.parametrize("sigma", [0, -0.1, math.nan])
def test_kl_loss_needs_a_positive_sigma(sigma):
    with pytest.raises(ValueError, match="sigma must be positive"):
        KLCCLoss(sigma)


def compute_nobodys_losses():
    """Return each loss of no person, and what its value must be connected with."""
    distribution = make_distribution(0)
    nobody = make_targets(0)
    inputs = {name: value.requires_grad_() for name, value in vars(distribution).items()}
    probabilities = [inputs["probs_x"], inputs["probs_y"], inputs["sigmas"]]
    boxes, logits = torch.zeros(0, 4, requires_grad=True), torch.zeros(0, 17, requires_grad=True)
    keypoints, none = torch.zeros(0, 17, 2, requires_grad=True), torch.zeros(0, 17)
    return {
        "mle": (MLECCLoss()(distribution, *nobody), probabilities),
        "fixed": (MLECCLoss(learned_sigma=False)(distribution, *nobody), probabilities),
        "kl": (KLCCLoss()(distribution, *nobody), probabilities),
        "iou": (IoULoss()(boxes, torch.zeros(0, 4)), [boxes]),
        "l1": (BoxL1Loss()(boxes, torch.zeros(0, 4)), [boxes]),
        "vis": (VisibilityLoss()(logits, none, none), [logits]),
        "oks": (OKSLoss()(keypoints, torch.zeros(0, 17, 2), none, torch.zeros(0), torch.ones(17)), [keypoints]),
    }


@pytest.mark.parametrize("name", ["mle", "fixed", "kl", "iou", "l1", "vis", "oks"])
def test_loss_of_nobody_is_a_zero_in_the_graph(name):
    value, inputs = compute_nobodys_losses()[name]
    assert value == 0
    assert all(gradient is not None for gradient in torch.autograd.grad(value, inputs))
