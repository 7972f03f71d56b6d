import pytest
import torch
from mmpose.evaluation.functional import nms_torch

from rtmo_plugin.ops.geometry import compute_iou
from rtmo_plugin.ops.nms import apply_nms, apply_nms_in_rounds


def make_boxes(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + 20 + torch.rand(count, 2, generator=generator) * 40], dim=1)
    return boxes, torch.rand(count, generator=generator)


def suppress_by_loop(boxes, scores, threshold):
    """Take the best box left, drop what it overlaps, repeat; ties in the order given."""
    left = sorted(range(len(scores)), key=lambda i: -float(scores[i]))
    kept = []
    while left:
        best, *left = left
        kept.append(best)
        left = [i for i in left if compute_iou(boxes[best], boxes[i]) <= threshold]
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.65, 0.9, 1.0])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_equals_the_greedy_loop(count, threshold):
    for seed in range(4):
        boxes, scores = make_boxes(count, seed)
        for s in (scores, (scores * 5).round()):  # the second with many ties
            assert apply_nms(boxes, s, threshold).tolist() == suppress_by_loop(boxes, s, threshold)


@pytest.mark.parametrize("threshold", [0.1, 0.65])
def test_equals_mmposes(threshold):
    boxes, scores = make_boxes(80)
    kept = apply_nms(boxes, scores, threshold)
    assert len(kept) < 80
    assert torch.equal(kept, nms_torch(boxes, scores, threshold))


def test_chain_of_boxes_that_suppress_each_other():
    """Each box overlaps its neighbors alone: every other one stays, whatever the chain's length."""
    left = torch.arange(50.0) * 4
    boxes = torch.stack([left, torch.zeros(50), left + 10, torch.ones(50) * 10], dim=1)
    assert apply_nms(boxes, torch.arange(50.0, 0, -1), 0.3).tolist() == list(range(0, 50, 2))


def test_overlap_of_just_the_threshold_is_kept():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]])
    assert apply_nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0, 1]
    assert apply_nms(boxes, torch.tensor([0.9, 0.8]), 0.49).tolist() == [0]


def test_equal_boxes_leave_the_first_of_the_best():
    boxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(4, 1)
    assert apply_nms(boxes, torch.tensor([0.5, 0.7, 0.7, 0.1]), 0.65).tolist() == [1]


def test_threshold_of_one_keeps_equal_boxes():
    boxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(3, 1)
    assert apply_nms(boxes, torch.tensor([0.1, 0.3, 0.2]), 1.0).tolist() == [1, 2, 0]


def test_what_is_left_has_no_duplicates():
    boxes, scores = make_boxes(60)
    kept = apply_nms(boxes, scores, 0.5)
    assert apply_nms(boxes[kept], scores[kept], 0.5).tolist() == list(range(len(kept)))


def test_order_of_boxes_does_not_matter():
    boxes, scores = make_boxes(60)
    order = torch.randperm(60)
    assert torch.equal(order[apply_nms(boxes[order], scores[order], 0.5)], apply_nms(boxes, scores, 0.5))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.65, 1.0])
def test_rounds_keep_what_greedy_nms_keeps(threshold):
    batch, masks, expected = [], [], []
    for seed in range(6):
        boxes, scores = make_boxes(40, seed)
        order = scores.argsort(descending=True, stable=True)
        is_candidate = torch.arange(40) < 5 * seed  # the first image has none
        batch.append(boxes[order])
        masks.append(is_candidate)
        ranks = torch.arange(40.0, 0, -1)
        expected.append(apply_nms(boxes[order][is_candidate], ranks[is_candidate], threshold).tolist())
    kept, is_settled = apply_nms_in_rounds(torch.stack(batch), torch.stack(masks), threshold, num_rounds=30)
    assert is_settled.all()
    assert [each.nonzero()[:, 0].tolist() for each in kept] == expected


@pytest.mark.parametrize(("num_rounds", "is_enough"), [(49, False), (50, True)])
def test_too_few_rounds_are_reported(num_rounds, is_enough):
    left = torch.arange(50.0) * 4
    chain = torch.stack([left, torch.zeros(50), left + 10, torch.ones(50) * 10], dim=1)
    apart = chain + torch.arange(50.0)[:, None] * 100
    masks = torch.ones(2, 50, dtype=torch.bool)
    kept, is_settled = apply_nms_in_rounds(torch.stack([chain, apart]), masks, 0.3, num_rounds)
    assert is_settled.tolist() == [is_enough, True]
    assert kept[0].nonzero()[:, 0].tolist() == list(range(0, 50, 2))
    assert kept[1].all()
