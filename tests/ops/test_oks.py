import numpy as np
import pytest
import torch
from torch.testing import assert_close
from xtcocotools import coco
from xtcocotools.cocoeval import COCOeval

from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.ops.oks import (
    compute_keypoint_similarity,
    compute_oks,
    compute_pairwise_oks,
    normalize_visibility,
)

SIGMAS = torch.tensor(COCO.sigmas, dtype=torch.float64)


def make_people(*shape):
    keypoints = torch.rand(*shape, 17, 2, dtype=torch.float64) * 100
    return keypoints, (torch.rand(*shape, 17) > 0.4).double(), 500 + torch.rand(*shape, dtype=torch.float64) * 5000


def test_similarity_of_one_keypoint():
    """At a distance of two sigmas of the person's size it is exp(-1 / 2)."""
    keypoint, target = torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)
    similarity = compute_keypoint_similarity(keypoint, target, torch.tensor(100.0), torch.tensor([0.25]))
    assert_close(similarity, torch.tensor([np.exp(-0.5)], dtype=torch.float32))


@pytest.mark.parametrize(
    ("visible", "oks"), [([1, 1, 1], 2 / 3), ([1, 0, 1], 1), ([1, 1, 0], 0.5), ([0, 1, 0], 0), ([0, 0, 0], 0)]
)
def test_oks_is_the_mean_over_labeled_keypoints(visible, oks):
    keypoints = torch.tensor([[0.0, 0.0], [1e6, 0.0], [0.0, 0.0]])
    got = compute_oks(keypoints, torch.zeros(3, 2), torch.tensor(visible), torch.tensor(100.0), torch.full((3,), 0.1))
    assert_close(got, torch.tensor(float(oks)))


def test_oks_equals_cocos_evaluation():
    truth, visible, areas = make_people(4)
    found = truth + torch.randn(truth.shape, dtype=torch.float64) * 3
    visible[:, 0] = 1
    annotations, detections = coco.COCO(), coco.COCO()
    annotations.dataset = make_dataset(torch.cat([truth, 2 * visible[..., None]], dim=-1), areas)
    detections.dataset = make_dataset(torch.cat([found, 2 * visible[..., None]], dim=-1), areas)
    annotations.createIndex(), detections.createIndex()
    evaluation = COCOeval(annotations, detections, "keypoints", sigmas=SIGMAS.numpy())
    evaluation._prepare()
    expected = torch.from_numpy(evaluation.computeOks(1, 1))  # detections by score, which is their order
    got = compute_oks(found[:, None], truth[None], visible[None], areas[None], SIGMAS)
    assert_close(got, expected, rtol=1e-6, atol=1e-9)


def make_dataset(keypoints, areas):
    people = [
        {
            "id": i + 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "score": 1 - 0.1 * i, "bbox": [0, 0, 99, 99],
            "keypoints": person.flatten().tolist(), "num_keypoints": int((person[:, 2] > 0).sum()), "area": float(area),
        }
        for i, (person, area) in enumerate(zip(keypoints, areas))
    ]  # fmt: skip
    return {"images": [{"id": 1}], "categories": [{"id": 1, "name": "person"}], "annotations": people}


def test_pairwise_oks_is_the_oks_of_each_pair():
    keypoints = torch.rand(2, 5, 17, 2, dtype=torch.float64) * 100
    targets, visible, areas = make_people(2, 3)
    got = compute_pairwise_oks(keypoints, targets, visible, areas, SIGMAS)
    for image in range(2):
        for prior in range(5):
            expected = compute_oks(keypoints[image, prior], targets[image], visible[image], areas[image], SIGMAS)
            assert_close(got[image, prior], expected)


def test_pairwise_oks_with_nobody():
    nobody = torch.zeros(2, 0, 17, 2), torch.zeros(2, 0, 17), torch.zeros(2, 0)
    assert compute_pairwise_oks(torch.zeros(2, 5, 17, 2), *nobody, SIGMAS.float()).shape == (2, 5, 0)


def test_oks_does_not_depend_on_the_unit_of_length():
    targets, visible, areas = make_people(3)
    keypoints = targets + torch.randn(targets.shape, dtype=torch.float64)
    expected = compute_oks(keypoints, targets, visible, areas, SIGMAS)
    assert_close(compute_oks(7 * keypoints, 7 * targets, visible, 49 * areas, SIGMAS), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_person_without_area_is_hit_or_missed(dtype):
    keypoints = torch.tensor([[[5.0, 5.0]], [[5.0, 6.0]]], dtype=dtype)
    target = torch.tensor([[5.0, 5.0]], dtype=dtype)
    oks = compute_oks(
        keypoints, target, torch.ones(1, dtype=dtype), torch.zeros((), dtype=dtype), torch.ones(1).to(dtype)
    )
    assert oks.tolist() == pytest.approx([1.0, 0.0], abs=1e-37)


def test_gradient_at_the_target_is_zero():
    keypoints = torch.ones(1, 1, 2, requires_grad=True)
    compute_keypoint_similarity(keypoints, torch.ones(1, 1, 2), torch.ones(1), torch.ones(1)).sum().backward()
    assert keypoints.grad.tolist() == [[[0.0, 0.0]]]


def test_visibility_weights_sum_to_one_or_are_zero():
    weights = normalize_visibility(torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0]]))
    assert weights.tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0, 0]]
