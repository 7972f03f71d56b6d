"""The parts of a metric by themselves, against what MMPose and the COCO tools do one by one."""

import numpy as np
import pytest

from rtmo_plugin.evaluation.oks_matching import compare_pairs
from rtmo_plugin.evaluation.predictions import apply_nms_mode, rescore
from rtmo_plugin.evaluation.records import GroundTruth
from tests.evaluation.detections import COCO_SIGMAS


def make_people(random, num_people):
    """Return people of whom some have no visible keypoint."""
    keypoints = random.uniform(0, 200, (num_people, 17, 3))
    keypoints[..., 2] = random.integers(0, 3, (num_people, 17)) * random.integers(0, 2, (num_people, 1))
    zeros = np.zeros(num_people, int)
    return GroundTruth(
        image_ids=(1,),
        category_ids=(1,),
        image=zeros,
        category=zeros,
        keypoints=keypoints,
        boxes_xywh=random.uniform(10, 90, (num_people, 4)),
        areas=random.uniform(500, 9000, num_people),
        is_crowd=zeros > 0,
        is_ignored=zeros > 0,
    )


def test_oks_to_the_last_bit_in_the_order_of_the_coco_tools():
    random = np.random.default_rng(0)
    truth = make_people(random, 300)
    people = random.integers(0, 300, 40_000)  # more than are computed at once
    points = truth.keypoints[people, :, :2] + random.normal(0, 5, (40_000, 17, 2))
    oks = compare_pairs(points, truth, people, COCO_SIGMAS)
    for index in range(0, 40_000, 97):
        assert oks[index] == _compute_one(points[index], truth, people[index])


def _compute_one(points, truth, person):
    """Return the OKS of one pair as xtcocotools computes it."""
    visible = truth.keypoints[person, :, 2] > 0
    x, y, width, height = truth.boxes_xywh[person]
    dx, dy = (points - truth.keypoints[person, :, :2]).T
    if not visible.any():
        zero = np.zeros(17)
        dx = np.max((zero, x - width - points[:, 0]), 0) + np.max((zero, points[:, 0] - (x + width * 2)), 0)
        dy = np.max((zero, y - height - points[:, 1]), 0) + np.max((zero, points[:, 1] - (y + height * 2)), 0)
        visible = zero == 0
    e = (dx**2 + dy**2) / (COCO_SIGMAS * 2) ** 2 / (truth.areas[person] + np.spacing(1)) / 2
    return np.sum(np.exp(-e[visible])) / visible.sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["oks_nms", "soft_oks_nms"])
def test_suppression_is_mmposes(mode, dtype):
    from mmpose.evaluation import functional

    random = np.random.default_rng(0)
    num_kept = []
    for num_people in (0, 1, 5, 40):
        base = random.uniform(0, 200, (max(num_people // 4, 1), 17, 2))
        keypoints = base[random.integers(0, len(base), num_people)] + random.normal(0, 6, (num_people, 17, 2))
        keypoints = keypoints.astype(dtype)
        scores = random.choice([0.3, 0.5, *random.random(9)], num_people).astype(dtype)
        areas = random.uniform(3000, 9000, num_people).astype(dtype)
        people = [
            {"keypoints": np.concatenate([points, np.ones((17, 1), dtype)], 1), "score": score, "area": area}
            for points, score, area in zip(keypoints, scores, areas)
        ]
        for threshold in (0.3, 0.9):
            theirs = getattr(functional, mode)(people, threshold, sigmas=COCO_SIGMAS)
            ours = apply_nms_mode(mode, keypoints, scores, areas, COCO_SIGMAS, threshold)
            assert ours.tolist() == list(theirs)
            num_kept.append(len(ours))
    assert 0 == num_kept[0] < num_kept[-2] < 40


def test_scores_written_out():
    scores, keypoint_scores = np.array([0.5, 1.0]), np.array([[0.2, 0.4, 0.8], [0.1, 0.0, 0.2]])
    expected = {
        "bbox": [0.5, 1.0],
        "keypoint": [1.4 / 3, 0.1],
        "bbox_keypoint": [0.5 * 0.6, 0.0],  # 0.2 is not above 0.2
        "bbox_rle": [0.5 + 1.4 / 3 + 0.8, 1.0 + 0.1 + 0.2],
    }
    for mode, values in expected.items():
        assert rescore(mode, scores, keypoint_scores, 0.2) == pytest.approx(values, abs=1e-12)
