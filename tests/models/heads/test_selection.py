import numpy as np
import pytest
import torch

from rtmo_plugin.models.heads.selection import Selection, collect_instances, select_priors
from rtmo_plugin.ops.geometry import make_priors
from rtmo_plugin.structures import DensePredictions
from tests.oracle import make_samples


def make_predictions(scores, boxes=None):
    """Return predictions with these (B, P, C) probabilities, and boxes far from each other unless given."""
    scores = torch.tensor(scores)
    num_images, num_priors = scores.shape[:2]
    if boxes is None:
        left = 20.0 * torch.arange(num_priors)
        boxes = torch.stack([left, left, left + 10, left + 10], dim=-1).expand(num_images, -1, -1).tolist()
    return DensePredictions(
        priors=make_priors([(1, num_priors)], [16]),
        class_logits=scores.logit(),
        box_deltas=torch.zeros(num_images, num_priors, 4),
        boxes=torch.tensor(boxes),
        visibility_logits=torch.randn(num_images, num_priors, 17),
        pose_vectors=torch.zeros(num_images, num_priors, 1),
    )


def test_people_are_picked_image_by_image_best_first():
    picked = select_priors(make_predictions([[[0.2], [0.9], [0.05]], [[0.4], [0.01], [0.5]]]))
    assert (picked.image.tolist(), picked.prior.tolist()) == ([0, 0, 1, 1], [1, 0, 2, 0])
    assert picked.scores.tolist() == pytest.approx([0.9, 0.2, 0.5, 0.4])
    assert picked.labels.tolist() == [0] * 4


def test_score_must_be_above_the_threshold():
    predictions = make_predictions([[[0.25], [0.5], [0.75]]])
    assert select_priors(predictions, score_thr=0.5).prior.tolist() == [2]
    assert select_priors(predictions, score_thr=0.0).prior.tolist() == [2, 1, 0]


def test_only_the_best_enter_suppression():
    predictions = make_predictions([[[0.3], [0.6], [0.4], [0.5]]])
    assert select_priors(predictions, nms_pre=2).prior.tolist() == [1, 3]
    assert select_priors(predictions, nms_pre=100).prior.tolist() == [1, 3, 2, 0]


def test_equal_scores_keep_the_order_of_priors():
    assert select_priors(make_predictions([[[0.3]] * 5])).prior.tolist() == [0, 1, 2, 3, 4]


def test_best_class_is_the_label_and_suppression_does_not_ask_for_it():
    boxes = [[[0.0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]]]
    predictions = make_predictions([[[0.2, 0.8], [0.7, 0.1], [0.3, 0.6]]], boxes)
    picked = select_priors(predictions)
    assert (picked.prior.tolist(), picked.labels.tolist()) == ([0, 2], [1, 1])
    assert select_priors(predictions, nms_thr=0.95).prior.tolist() == [0, 1, 2]
    assert select_priors(predictions, nms_thr=1).labels.tolist() == [1, 0, 1]


def test_nobody():
    picked = select_priors(make_predictions([[[0.01], [0.05]]] * 2))
    assert [len(field) for field in picked] == [0] * 4


def test_instances_are_the_gathered_predictions_in_the_input():
    predictions = make_predictions([[[0.9], [0.8]], [[0.1], [0.7]]], [[[-5.0, 10, 300, 90], [1, 2, 3, 4]]] * 2)
    picked = Selection(
        torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3).long()
    )
    keypoints = torch.randn(3, 17, 2) * 1000
    first, second = collect_instances(predictions, picked, keypoints, make_samples([0, 0], size_wh=(256, 64)))
    assert first.bboxes.tolist() == [[0, 10, 256, 64], [1, 2, 3, 4]]
    assert second.bboxes.tolist() == [[1, 2, 3, 4]]
    assert first.scores.tolist() == first.bbox_scores.tolist() == pytest.approx([0.9, 0.8])
    np.testing.assert_array_equal(first.keypoints, keypoints[:2])  # which may leave the input
    np.testing.assert_array_equal(second.keypoints, keypoints[2:])
    np.testing.assert_allclose(second.keypoint_scores, predictions.visibility_logits[1, 1:].sigmoid())
    np.testing.assert_array_equal(second.keypoints_visible, second.keypoint_scores)


def test_instances_of_an_image_without_people():
    predictions = make_predictions([[[0.01]]])
    (nobody,) = collect_instances(predictions, select_priors(predictions), torch.zeros(0, 17, 2), make_samples([0]))
    shapes = {name: nobody[name].shape for name in nobody.keys()}  # noqa: SIM118  (InstanceData iterates over people)
    assert shapes == {
        "scores": (0,), "labels": (0,), "bboxes": (0, 4), "bbox_scores": (0,),
        "keypoints": (0, 17, 2), "keypoint_scores": (0, 17), "keypoints_visible": (0, 17),
    }  # fmt: skip
