"""What the losses are given, and how they are weighed; their values stand in tests/models/test_losses.py."""

import math

import pytest
import torch
from torch.testing import assert_close

from rtmo_plugin.models.heads import criterion as criterion_module
from rtmo_plugin.models.heads.criterion import (
    DEFAULT_LOSSES,
    RTMOCriterion,
    choose_proxy_target,
    count_positives,
    merge_losses,
    place_class_targets,
)
from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.stages import Stage, build_stages
from rtmo_plugin.models.heads.training_targets import build_targets, collect_people
from rtmo_plugin.models.losses import KLCCLoss
from rtmo_plugin.ops.oks import compute_oks
from rtmo_plugin.structures import CoordinateDistribution, Targets
from tests.small_head import LOSSES, SIZE_WH, build_ours, make_batch

SIGMAS = torch.tensor([0.1, 0.1])
TRUTH = Stage(build_stages()["warmup"].weights, 0.5, "truth")
DCC = Stage(TRUTH.weights, 0.5, "dcc")


def make_targets(num_people, **fields):
    """Return targets of people of two keypoints at the origin, of an area of 100."""
    index = torch.arange(num_people)
    default = {
        "image": index * 0,
        "prior": index,
        "labels": index * 0,
        "boxes": torch.zeros(num_people, 4),
        "keypoints": torch.zeros(num_people, 2, 2),
        "visible": torch.ones(num_people, 2),
        "visible_weights": torch.ones(num_people, 2),
        "areas": torch.full((num_people,), 100.0),
        "quality": torch.linspace(0.2, 0.4, num_people),
        "class_weights": torch.ones(1, 8, 1),
    }
    return Targets(**{**default, **fields})


def make_distribution(keypoints):
    nothing = torch.zeros(len(keypoints), 2, 1)
    return CoordinateDistribution(nothing, nothing, nothing[:, 0], nothing[:, 0], nothing[..., 0], keypoints)


def test_truth_teaches_the_proxy_before_the_switch():
    targets = make_targets(3)
    proxy, distribution = torch.randn(3, 2, 2), make_distribution(torch.randn(3, 2, 2))
    teacher, weights, quality = choose_proxy_target(proxy, distribution, targets, SIGMAS, TRUTH)
    assert (teacher is targets.keypoints, weights is targets.visible, quality is targets.quality) == (True,) * 3


def test_dcc_teaches_the_proxy_where_it_is_the_closer_one():
    targets = make_targets(1, visible=torch.tensor([[1.0, 1.0]]))
    proxy = torch.tensor([[[0.0, 3.0], [0.0, 1.0]]])
    taught = torch.tensor([[[2.0, 0.0], [2.0, 0.0]]], requires_grad=True)
    teacher, weights, quality = choose_proxy_target(proxy, make_distribution(taught), targets, SIGMAS, DCC)
    assert teacher.tolist() == taught.tolist()
    assert weights.tolist() == [[1, 0]]
    assert_close(quality, torch.tensor([math.exp(-4 / (2 * 100 * 0.04))]))  # of the classifier, not of the proxy
    assert not teacher.requires_grad


def test_dcc_teaches_nothing_about_keypoints_without_a_label():
    targets = make_targets(1, visible=torch.tensor([[0.0, 1.0]]))
    proxy, taught = torch.full((1, 2, 2), 9.0), torch.zeros(1, 2, 2)
    _, weights, quality = choose_proxy_target(proxy, make_distribution(taught), targets, SIGMAS, DCC)
    assert (weights.tolist(), quality.tolist()) == ([[0, 1]], [1])


def test_class_targets_are_placed_at_prior_and_label():
    predictions = decode_dense(build_ours(num_classes=3).head_module(make_batch()[0], with_proxy=True), (16, 32))
    picked = {"image": torch.tensor([0, 1]), "prior": torch.tensor([4, 2]), "labels": torch.tensor([2, 0])}
    placed = place_class_targets(predictions, make_targets(2, **picked), torch.tensor([0.25, 0.75]))
    assert placed.nonzero().tolist() == [[0, 4, 2], [1, 2, 0]]
    assert (placed[0, 4, 2], placed[1, 2, 0]) == (0.25, 0.75)


@pytest.mark.parametrize(("num_people", "count"), [(0, 1), (1, 1), (5, 5)])
def test_positives_are_at_least_one(num_people, count):
    assert count_positives(make_targets(num_people)) == count


def test_positives_are_averaged_over_ranks(monkeypatch):
    """Four here and none on three other ranks: one, so that gradients averaged over ranks are a mean."""

    def reduce_with_three_empty_ranks(count, op):
        assert op == "mean"
        count /= 4

    monkeypatch.setattr(criterion_module, "all_reduce", reduce_with_three_empty_ranks)
    assert count_positives(make_targets(8)) == 2
    assert count_positives(make_targets(2)) == 1


@pytest.fixture
def inputs():
    """Return what the head gives to the criterion, of a batch with several positives."""
    head = build_ours()
    feats, samples, _ = make_batch([3, 1])
    predictions = decode_dense(head.head_module(feats, with_proxy=True), head.strides)
    people = collect_people(samples, 1, 17)
    targets = build_targets(predictions, people, head.assigner.assign(predictions, people, head.sigmas), samples)
    distribution = head.classify_coordinates(predictions, targets.image, targets.prior, SIZE_WH)
    return predictions, targets, distribution, head.sigmas


def test_losses_are_weighed_by_the_stage(inputs):
    ones = RTMOCriterion()(*inputs, Stage(dict.fromkeys(DEFAULT_LOSSES, 1.0), 0.5, "truth"))
    weights = {name: float(i) for i, name in enumerate(DEFAULT_LOSSES)}
    weighed = RTMOCriterion()(*inputs, Stage(weights, 0.5, "truth"))
    assert list(weighed) == LOSSES
    for name, weight in weights.items():
        assert ones[f"loss_{name}"] > 0 or name == "mle"
        assert_close(weighed[f"loss_{name}"], ones[f"loss_{name}"] * weight)


def test_every_loss_is_divided_by_the_positives_of_all_ranks(inputs, monkeypatch):
    expected = RTMOCriterion()(*inputs, TRUTH)
    monkeypatch.setattr(criterion_module, "count_positives", lambda targets: 2.0 * len(targets.prior))
    halved = RTMOCriterion()(*inputs, TRUTH)
    ratios = {name: (halved[name] / expected[name]).item() for name in LOSSES if name != "loss_bbox_aux"}
    assert ratios == pytest.approx(dict.fromkeys(ratios, 0.5))


def test_class_target_is_a_power_of_the_oks(inputs):
    _, targets, distribution, sigmas = inputs
    seen = []
    criterion = RTMOCriterion()
    criterion.losses["cls"].register_forward_hook(lambda module, args, output: seen.append(args[1]))
    for stage in (TRUTH, Stage(TRUTH.weights, 1.0, "dcc")):
        criterion(*inputs, stage)
    at = (targets.image, targets.prior, targets.labels)
    assert_close(seen[0][at], targets.quality.sqrt())
    oks = compute_oks(distribution.keypoints, targets.keypoints, targets.visible, targets.areas, sigmas)
    assert_close(seen[1][at], oks.detach())
    assert not seen[1].requires_grad
    assert seen[0].count_nonzero() == (targets.quality > 0).sum()


def test_losses_are_built_from_what_the_config_changes():
    criterion = RTMOCriterion(
        {"loss_mle": {"type": "rtmo_plugin.KLCCLoss", "sigma": 0.2}, "loss_bbox": {"mode": "log"}}
    )
    assert isinstance(criterion.losses["mle"], KLCCLoss)
    assert criterion.losses["mle"].sigma == 0.2
    assert criterion.losses["bbox"].mode == "log"
    assert RTMOCriterion().losses["bbox"].mode == "square"


def test_unknown_loss():
    with pytest.raises(TypeError, match="RTMOHead has no option 'loss_kpt'; its losses are loss_cls, loss_bbox"):
        merge_losses({"loss_kpt": {}})
