"""Losses between a student and a teacher: zero for twins, right values, and gradients for the student alone."""

import math

import pytest
import torch

from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.rtmo_head import RTMOHead
from rtmo_plugin.models.heads.taught_criterion import TaughtCriterion, find_teacher_misfit
from rtmo_plugin.models.losses import DistillationLoss
from rtmo_plugin.models.losses.distillation_loss import compute_divergence
from rtmo_plugin.structures import CoordinateDistribution, DensePredictions, Priors, Targets
from tests.small_head import SIZE_WH, build_ours, make_batch

N, K, P = 2, 3, 5


def make_predictions(seed, requires_grad=False):
    """Return the predictions for one image with P priors and one class."""
    rng = torch.Generator().manual_seed(seed)
    logits, visible, pose = (torch.randn(1, P, n, generator=rng) for n in (1, K, 4))
    corners = torch.rand(1, P, 2, generator=rng) * 20
    boxes = torch.cat([corners, corners + 10 + 20 * torch.rand(1, P, 2, generator=rng)], dim=-1)
    priors = Priors(torch.zeros(P, 2), torch.ones(P))
    tensors = [each.requires_grad_(requires_grad) for each in (logits, boxes, boxes, visible, pose)]
    return DensePredictions(priors, *tensors)


def make_distribution(seed, requires_grad=False):
    rng = torch.Generator().manual_seed(seed)
    logits = [torch.randn(N, K, bins, generator=rng).requires_grad_(requires_grad) for bins in (6, 8)]
    probs = [each.softmax(dim=-1) for each in logits]
    return CoordinateDistribution(*probs, torch.zeros(N, 6), torch.zeros(N, 8), torch.zeros(N, K), torch.zeros(N, K, 2))


def make_targets(num=N):
    index = torch.arange(num)
    empty = torch.zeros(num)
    return Targets(
        image=index * 0, prior=index, labels=index * 0, boxes=torch.zeros(num, 4), keypoints=torch.zeros(num, K, 2),
        visible=torch.zeros(num, K), visible_weights=torch.zeros(num, K), areas=empty, quality=empty,
        class_weights=torch.ones(1, P, 1),
    )  # fmt: skip


def test_a_twin_has_nothing_to_learn():
    same, distribution = make_predictions(0), make_distribution(0)
    losses = DistillationLoss()(same, same, distribution, distribution, make_targets())
    assert {name: value.item() for name, value in losses.items()} == {
        "coordinates": 0.0,
        "scores": 0.0,
        "boxes": pytest.approx(0, abs=1e-6),
    }


def test_values_are_those_of_the_formulas():
    student, teacher = make_predictions(1), make_predictions(2)
    own, taught = make_distribution(3), make_distribution(4)
    losses = DistillationLoss()(student, teacher, own, taught, make_targets())
    scores, own_scores = (each.class_logits.sigmoid().flatten().tolist() for each in (teacher, student))
    visible = teacher.visibility_logits.sigmoid()[0]
    divergences = [
        sum(
            p * math.log(p / q)
            for expected, found in ((taught.probs_x, own.probs_x), (taught.probs_y, own.probs_y))
            for p, q in zip(expected[n, k].tolist(), found[n, k].tolist(), strict=True)
        )
        * scores[n]
        * visible[n, k].item()
        for n in range(N)
        for k in range(K)
    ]
    assert losses["coordinates"].item() == pytest.approx(sum(divergences) / (N * K), rel=1e-5)
    entropies = [
        -(t * math.log(s) + (1 - t) * math.log(1 - s)) * (s - t) ** 2 for s, t in zip(own_scores, scores, strict=True)
    ]
    assert losses["scores"].item() == pytest.approx(sum(entropies), rel=1e-5)
    expected = 0.0
    for n in range(N):
        x1, y1, x2, y2 = student.boxes[0, n].tolist()
        u1, v1, u2, v2 = teacher.boxes[0, n].tolist()
        overlap = max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1))
        union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - overlap
        expected += (1 - (overlap / union) ** 2) * scores[n]
    assert losses["boxes"].item() == pytest.approx(expected, rel=1e-5)


def test_weights_multiply_and_a_batch_without_people_is_connected():
    student, teacher = make_predictions(1, requires_grad=True), make_predictions(2)
    own, taught = make_distribution(3, requires_grad=True), make_distribution(4)
    once = DistillationLoss()(student, teacher, own, taught, make_targets())
    twice = DistillationLoss(coordinates=2, scores=3, boxes=0.5)(student, teacher, own, taught, make_targets())
    for name, factor in {"coordinates": 2, "scores": 3, "boxes": 0.5}.items():
        torch.testing.assert_close(twice[name], once[name] * factor)
    nobody = [CoordinateDistribution(*(value[:0] for value in vars(each).values())) for each in (own, taught)]
    empty = DistillationLoss()(student, teacher, *nobody, make_targets(0))
    assert empty["coordinates"].item() == empty["boxes"].item() == 0
    sum(empty.values()).backward()
    assert student.class_logits.grad.abs().sum() > 0


def test_divergence_stays_finite_where_the_student_is_sure_of_something_else():
    found = compute_divergence(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    assert found.item() == pytest.approx(math.log(1e8))


def test_a_student_comes_closer_to_its_teacher_and_keeps_its_weights():
    """Thirty steps by the teacher's losses alone bring each of them down; no weight is added."""
    student, teacher = build_ours(0), build_ours(1).eval().requires_grad_(False)
    names = list(student.state_dict())
    features, samples, _ = make_batch()
    student.criterion = TaughtCriterion(
        student.criterion,
        DistillationLoss(),
        teacher,
        lambda: (decode_dense(teacher.head_module(features), teacher.strides), SIZE_WH),
    )
    optimizer = torch.optim.Adam([each for each in student.parameters() if each.requires_grad], lr=2e-3)
    curves = []
    for _ in range(30):
        losses = student.loss(features, samples)
        taught = {name: value for name, value in losses.items() if name.startswith("loss_teacher_")}
        curves.append([value.item() for value in taught.values()])
        optimizer.zero_grad()
        sum(taught.values()).backward()
        optimizer.step()
    assert list(taught) == ["loss_teacher_coordinates", "loss_teacher_scores", "loss_teacher_boxes"]
    assert len(losses) == 9
    assert all(last < 0.7 * first for first, last in zip(curves[0], curves[-1], strict=True)), (curves[0], curves[-1])
    assert list(student.state_dict()) == names


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"keypoints": "crowdpose"}, "keypoints"),
        ({"num_classes": 2}, "num_classes"),
        ({"strides": (8, 16)}, "strides"),
        ({"coordinates": "proxy"}, "coordinates"),
        ({"dcc": {"num_bins": (64, 64)}}, "dcc.num_bins"),
        ({"dcc": {"box_padding": 1.5}}, "dcc.box_padding"),
        ({"widen_factor": 0.25}, None),
    ],
)
def test_what_keeps_a_teacher_from_teaching_is_named(options, name):
    heads = [RTMOHead(widen_factor=0.125), RTMOHead(**{"widen_factor": 0.125, **options})]
    difference = find_teacher_misfit(*heads)
    assert (difference if name is None else difference.partition(":")[0]) == name
