"""The NumPy functions are the tensor functions: equal to 1e-12 in float64, to 2e-6 in float32."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from rtmo_plugin.ops.arrays import (
    UNMATCHED,
    box_nms,
    decode_box_deltas,
    greedy_nms,
    keypoint_similarity,
    labeled_oks,
    match_by_score,
    match_closest,
    pairwise_ioa,
    pairwise_iou,
    place_priors,
)
from rtmo_plugin.ops.geometry import compute_iou, decode_boxes, make_priors
from rtmo_plugin.ops.nms import apply_nms
from rtmo_plugin.ops.oks import compute_keypoint_similarity, compute_oks, compute_pairwise_oks
from rtmo_plugin.structures import Priors

TOLERANCES = {np.float64: 1e-12, np.float32: 2e-6}
SIGMAS = np.linspace(0.025, 0.107, 17)


@pytest.fixture(params=TOLERANCES, ids=lambda dtype: dtype.__name__)
def dtype(request):
    return request.param


def make_boxes(count, dtype, seed=0):
    """Return boxes with pairs that are equal, and with some that have no width or no area."""
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corner, corner + random.uniform(10, 60, (count, 2))], 1)
    boxes[1::7] = boxes[::7][: len(boxes[1::7])]
    boxes[3::11, 2] = boxes[3::11, 0]
    boxes[4::13, 2:] = boxes[4::13, :2]
    return boxes.astype(dtype)


def make_pairs(count, dtype, seed=0):
    """Return detections, people, which keypoints are labeled, and areas, of whom some have no label or no area."""
    random = np.random.default_rng(seed)
    targets = random.uniform(0, 640, (count, 17, 2))
    points = targets + random.normal(0, 8, targets.shape)
    points[::5] = targets[::5]
    is_labeled = random.random((count, 17)) < 0.6
    is_labeled[1::6] = False
    areas = random.uniform(500, 90_000, count)
    areas[::4] = 0
    return points.astype(dtype), targets.astype(dtype), is_labeled, areas.astype(dtype)


def to_torch(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(each)) for each in arrays]


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_iou_of_all_pairs(count, dtype):
    boxes, others = make_boxes(count, dtype), make_boxes(25, dtype, seed=1)
    expected = compute_iou(*to_torch(boxes[:, None], others[None])).numpy()
    assert pairwise_iou(boxes, others) == pytest.approx(expected, abs=TOLERANCES[dtype])
    assert expected.shape == (count, 25)


def test_intersection_over_area_is_that_of_the_second_box(dtype):
    boxes, others = make_boxes(30, dtype), make_boxes(20, dtype, seed=1)
    intersection = np.array([[_intersect(a, b) for b in others] for a in boxes])
    areas = np.maximum((others[:, 2:] - others[:, :2]).prod(1), 1e-6)
    assert pairwise_ioa(boxes, others) == pytest.approx(intersection / areas, abs=TOLERANCES[dtype])


def _intersect(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.65, 1.0])
@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_nms_keeps_the_same_boxes_in_the_same_order(count, threshold, dtype):
    for seed in range(5):
        boxes = make_boxes(count, dtype, seed)
        scores = np.random.default_rng(seed).random(count).astype(dtype)
        for ranked in (scores, (scores * 4).round()):  # the second with many ties
            expected = apply_nms(*to_torch(boxes, ranked), threshold)
            assert box_nms(boxes, ranked, threshold).tolist() == expected.tolist()


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_greedy_nms_is_the_loop_also_of_relations_without_symmetry(count):
    for seed in range(5):
        is_duplicate = np.random.default_rng(seed).random((count, count)) < 0.1
        kept = []
        for column in range(count):
            if not is_duplicate[kept, column].any():
                kept.append(column)
        assert greedy_nms(is_duplicate).tolist() == kept


@pytest.mark.parametrize("count", [0, 1, 200])
def test_similarity_of_each_keypoint(count, dtype):
    points, targets, _, areas = make_pairs(count, dtype)
    sigmas = SIGMAS.astype(dtype)
    expected = compute_keypoint_similarity(*to_torch(points, targets, areas, sigmas)).numpy()
    found = keypoint_similarity(points - targets, areas, sigmas)
    assert found == pytest.approx(expected, abs=TOLERANCES[dtype])
    if count > 1:
        assert found[0].tolist() == [1.0] * 17  # on the spot, without an area
        assert found[4].max() < 1e-30  # off the spot, without an area


@pytest.mark.parametrize("count", [0, 1, 200])
def test_oks_of_pairs(count, dtype):
    points, targets, is_labeled, areas = make_pairs(count, dtype)
    sigmas = SIGMAS.astype(dtype)
    expected = compute_oks(*to_torch(points, targets, is_labeled.astype(dtype), areas, sigmas)).numpy()
    found = labeled_oks(points, targets, is_labeled, areas, sigmas)
    assert found == pytest.approx(expected, abs=TOLERANCES[dtype])
    assert count < 2 or (found[1] == 0 and 0.1 < np.median(found[found > 0]) < 1)


def test_oks_of_all_pairs(dtype):
    points, targets, is_labeled, areas = make_pairs(12, dtype)
    points, sigmas = targets[:, None] + np.linspace(0, 12, 9, dtype=dtype)[:, None, None], SIGMAS.astype(dtype)
    predicted, tensors = points.reshape(1, -1, 17, 2), (targets[None], is_labeled[None].astype(dtype), areas[None])
    expected = compute_pairwise_oks(*to_torch(predicted, *tensors, sigmas))[0].numpy()
    rows, columns = (each.ravel() for each in np.indices(expected.shape))
    found = labeled_oks(predicted[0][rows], targets[columns], is_labeled[columns], areas[columns], sigmas)
    assert found == pytest.approx(expected.ravel(), abs=TOLERANCES[dtype])


def test_person_without_labels_is_compared_by_box_where_there_is_one():
    points = np.array([[[15.0, 15], [29, 1]], [[15, 15], [35, 15]]])
    targets, nothing, areas = np.zeros((2, 2, 2)), np.zeros((2, 2), bool), np.full(2, 100.0)
    sigmas, boxes = np.array([0.1, 0.1]), np.tile([10.0, 10, 10, 10], (2, 1))  # from 0 to 30 when three times as large
    outside = np.exp(-(5**2) / (2 * 100 * 0.2**2))
    found = labeled_oks(points, targets, nothing, areas, sigmas, boxes)
    assert found == pytest.approx([1.0, (1 + outside) / 2], abs=1e-12)
    assert labeled_oks(points, targets, nothing, areas, sigmas).tolist() == [0, 0]


@pytest.mark.parametrize("shapes_hw", [[(3, 5), (1, 2)], [(0, 4), (1, 1)]])
def test_priors_are_exactly_those_of_the_head(shapes_hw):
    priors = make_priors(shapes_hw, [16, 32])
    centers, strides = place_priors(shapes_hw, [16, 32])
    assert (centers.dtype, strides.dtype) == (np.float32, np.float32)
    assert centers.tolist() == priors.centers.tolist()
    assert strides.tolist() == priors.strides.tolist()


@pytest.mark.parametrize("count", [0, 1, 30])
def test_boxes_of_priors(count, dtype):
    random = np.random.default_rng(0)
    deltas = random.normal(0, 1, (count, 4)).astype(dtype)
    centers, strides = random.uniform(0, 99, (count, 2)).astype(dtype), random.choice([16, 32], count).astype(dtype)
    expected = decode_boxes(torch.from_numpy(deltas), Priors(*to_torch(centers, strides))).numpy()
    tolerance = TOLERANCES[dtype]
    assert decode_box_deltas(deltas, centers, strides) == pytest.approx(expected, rel=tolerance, abs=100 * tolerance)


def test_detections_take_people_in_the_order_of_their_scores():
    oks = np.array([[0.6, 0.9], [0.4, 0.95], [0.7, 0.2]])
    assert match_by_score(oks, np.array([0.5, 0.8])).tolist() == [[1, UNMATCHED, 0], [1, UNMATCHED, UNMATCHED]]


def test_people_that_do_not_count_are_taken_last_and_a_crowd_again_and_again():
    oks = np.array([[0.6, 0.9], [0.7, 0.9], [0.7, 0.9]])
    ignored, crowd = np.array([False, True]), np.array([False, True])
    assert match_by_score(oks, np.array([0.5]), ignored, crowd).tolist() == [[0, 1, 1]]
    assert match_by_score(oks, np.array([0.5]), ignored).tolist() == [[0, 1, UNMATCHED]]


def test_of_equally_similar_people_the_last_is_taken():
    assert match_by_score(np.full((2, 3), 0.8), np.array([0.5])).tolist() == [[2, 1]]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
def test_nobody_to_match(shape):
    assert match_by_score(np.zeros(shape), np.array([0.5])).tolist() == [[UNMATCHED] * shape[0]]
    assert match_closest(np.zeros(shape), 0.5) == []


def test_closest_pairs_go_first():
    assert match_closest(np.array([[0.6, 0.9], [0.8, 0.95], [0.7, 0.2]]), 0.5) == [(1, 1), (2, 0)]


def test_no_torch_is_loaded():
    script = "import sys, rtmo_plugin.ops.arrays; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )
