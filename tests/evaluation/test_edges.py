"""Cases that one can count by hand, and that evaluation has to define."""

import numpy as np
import pytest

from rtmo_plugin.evaluation import CocoMetric, CrowdPoseMetric
from tests.evaluation.detections import evaluate, evaluate_with_mmpose, make_meta, write_annotations

SIGMAS = np.array([0.05, 0.05, 0.05])
RECIPE = {"score_mode": "bbox", "nms_mode": "none"}
EXACT = {1: [(20, 20), (60, 50), (90, 80)], 2: [(5, 5), (400, 400), (70, 30)]}  # the second keypoint is not labeled
AWAY = [(500, 400), (510, 410), (520, 420)]
IN_CROWD = [(310, 310), (320, 320), (330, 330)]


def make_sample(image_id, poses, scores, keypoint_score=1.0):
    """Return a sample of one image."""
    instances = {
        "keypoints": np.array(poses, float).reshape(-1, 3, 2),
        "keypoint_scores": np.full((len(poses), 3), keypoint_score),
        "bbox_scores": np.array(scores, float),
    }
    return {"id": [image_id], "img_id": image_id, "pred_instances": instances, "gt_instances": {}}


@pytest.fixture
def compare(small_truth, tmp_path):
    """Return a function that evaluates, after a comparison with MMPose's."""
    path, meta = write_annotations(small_truth, tmp_path), make_meta(SIGMAS, small_truth)

    def run(samples, **options):
        ours = evaluate(CocoMetric(path, **RECIPE, **options), samples, meta)
        assert ours == pytest.approx(evaluate_with_mmpose(samples, meta, ann_file=path, **RECIPE, **options), abs=1e-12)
        return ours

    return run


def test_everybody_found_and_a_crowd_answered_many_times(compare):
    crowd = make_sample(2, [EXACT[2], *[IN_CROWD] * 5], [0.9, *[1.0] * 5])
    metrics = compare([make_sample(1, [EXACT[1]], [0.8]), crowd, make_sample(3, [], [])])
    assert (metrics["coco/AP"], metrics["coco/AR"]) == (1, 1)
    assert metrics["coco/AP (L)"] == -1  # nobody is large


def test_one_missed_and_one_false(compare):
    metrics = compare([make_sample(1, [EXACT[1]], [0.8]), make_sample(3, [AWAY], [0.9])])
    # Recall up to a half at a precision of a half: 51 of the 101 thresholds.
    assert metrics["coco/AP"] == pytest.approx(0.5 * 51 / 101)
    assert metrics["coco/AR"] == 0.5


def test_only_the_twenty_best_of_an_image_count(compare):
    samples = [make_sample(1, [AWAY] * 20 + [EXACT[1]], [0.9] * 20 + [0.8])]
    assert compare(samples)["coco/AR"] == 0
    samples[0]["pred_instances"]["bbox_scores"][-1] = 0.9  # tied, and still the last
    assert compare(samples)["coco/AR"] == 0
    samples[0]["pred_instances"]["bbox_scores"][-1] = 0.91
    assert compare(samples)["coco/AR"] == 0.5


def test_of_two_on_one_person_the_better_score_matches(compare):
    near = np.add(EXACT[1], (0, 4)).tolist()
    twice = compare([make_sample(1, [EXACT[1], near], [0.8, 0.9])])
    once = compare([make_sample(1, [near], [0.9])])
    assert twice["coco/AP"] > once["coco/AP"]  # at high thresholds the worse one is no match, and the other is
    assert twice["coco/AR"] == 0.5


def test_nobody_without_a_keypoint_above_zero_counts(compare):
    assert compare([make_sample(1, [EXACT[1]], [0.8], keypoint_score=0.0)])["coco/AR"] == 0


@pytest.mark.parametrize("options", [{}, {"iou_type": "keypoints_crowd", "use_area": False}])
def test_nothing_detected_is_zero(compare, options):
    metrics = compare([make_sample(image, [], []) for image in (1, 2, 3)], **options)
    assert set(metrics.values()) == {0.0, -1.0}  # -1: of a kind that is not there
    assert metrics["coco/AP"] == 0


def test_names_are_known_before_data(small_truth, tmp_path):
    path, meta = write_annotations(small_truth, tmp_path), make_meta(SIGMAS, small_truth)
    assert CocoMetric().list_names() == list(evaluate(CocoMetric(path), [], meta))
    assert set(CrowdPoseMetric().list_names()) >= set(evaluate(CrowdPoseMetric(path), [], meta))
    assert CocoMetric(prefix="own").list_names()[0] == "own/AP"


def test_no_sample_at_all_is_zero(small_truth, tmp_path):
    metric = CocoMetric(write_annotations(small_truth, tmp_path))
    assert evaluate(metric, [], make_meta(SIGMAS, small_truth))["coco/AP"] == 0


def test_nobody_to_be_found_is_minus_one(small_truth, tmp_path):
    nobody = {**small_truth, "annotations": []}
    metric = CocoMetric(write_annotations(nobody, tmp_path), **RECIPE)
    metrics = evaluate(metric, [make_sample(1, [EXACT[1]], [0.8])], make_meta(SIGMAS, small_truth))
    assert set(metrics.values()) == {-1.0}


def test_a_sample_that_comes_twice_counts_once(small_truth, tmp_path):
    samples = [make_sample(1, [EXACT[1]], [0.8]), make_sample(2, [EXACT[2], AWAY], [0.9, 0.7])]
    path, meta = write_annotations(small_truth, tmp_path), make_meta(SIGMAS, small_truth)
    metric = CocoMetric(path, **RECIPE)
    assert evaluate(metric, [samples[0], *samples, *samples], meta) == evaluate(metric, samples, meta)


def test_crowding_is_split_at_two_and_eight_tenths_like_the_official_program(small_truth, tmp_path):
    for image, crowding in zip(small_truth["images"], (0.2, 0.19, 0.8)):
        image["crowdIndex"] = crowding
    small_truth["annotations"].append({**small_truth["annotations"][0], "id": 4, "image_id": 3})
    samples = [make_sample(1, [EXACT[1]], [0.8])]
    path, meta = write_annotations(small_truth, tmp_path), make_meta(SIGMAS, small_truth)

    def read(**options):
        metrics = evaluate(CrowdPoseMetric(path, **RECIPE, **options), samples, meta)
        return [metrics[f"crowdpose/AP({level})"] for level in "EMH"]

    assert read() == [0, 1, 0]
    assert read(crowd_index_splits=(0.5, 0.6)) == [0.505, -1, 0]  # 51 of 101, as xtcocotools rounds it


def test_areas_of_boxes_and_sigmas_of_the_options(small_truth, tmp_path):
    near = np.add(EXACT[1], (0, 4)).tolist()
    samples, meta = [make_sample(1, [near], [0.8])], make_meta(SIGMAS, small_truth)
    path = write_annotations(small_truth, tmp_path)
    boxes = evaluate(CocoMetric(path, use_area=False, **RECIPE), samples, meta)
    areas = evaluate(CocoMetric(path, **RECIPE), samples, meta)
    assert boxes["coco/AR"] < areas["coco/AR"]  # 0.53 x 100 x 80 is less than 5000
    loose = evaluate(CocoMetric(path, sigmas=[1.0, 1.0, 1.0], **RECIPE), samples, meta)
    assert loose["coco/AR"] == 0.5


def test_tensors_are_predictions_as_well(small_truth, tmp_path):
    import torch

    samples, meta = [make_sample(1, [EXACT[1]], [0.8])], make_meta(SIGMAS, small_truth)
    metric = CocoMetric(write_annotations(small_truth, tmp_path), **RECIPE)
    expected = evaluate(metric, samples, meta)
    found = {name: torch.from_numpy(values) for name, values in samples[0]["pred_instances"].items()}
    assert evaluate(metric, [{**samples[0], "pred_instances": found}], meta) == expected
    assert expected["coco/AR"] == 0.5
