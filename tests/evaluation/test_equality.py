"""The same numbers as MMPose's CocoMetric with xtcocotools, on real annotations and troubled detections."""

import json

import numpy as np
import pytest

from rtmo_plugin.evaluation import CocoMetric, CrowdPoseMetric
from tests.evaluation.detections import (
    COCO_SIGMAS,
    CROWD_SIGMAS,
    evaluate,
    evaluate_with_mmpose,
    make_meta,
    predict,
    write_annotations,
)

COCO_119 = "coco/annotations/person_keypoints_val2017.json"
COCO_538 = "coco/annotations/person_keypoints_val2017_538images.json"
CROWDPOSE = "crowdpose/annotations/mmpose_crowdpose_val.json"
RECIPE = {"score_mode": "bbox", "nms_mode": "none"}
CROWD = {"iou_type": "keypoints_crowd", "use_area": False, "prefix": "crowdpose"}
OPTIONS = {
    "recipe": RECIPE,
    "defaults": {},
    "rle and soft": {"score_mode": "bbox_rle", "nms_mode": "soft_oks_nms", "nms_thr": 0.5},
    "keypoints": {"score_mode": "keypoint", "nms_thr": 0.5, "use_area": False},
    "strict": {"keypoint_score_thr": 0.6, "nms_thr": 0.3},
}


def assert_same(ours, theirs):
    assert list(ours) == list(theirs)
    assert list(ours.values()) == pytest.approx(list(theirs.values()), abs=1e-9, rel=0)


@pytest.mark.parametrize("name", [*list(OPTIONS)[:-1], pytest.param("strict", marks=pytest.mark.slow)])
def test_119_images_of_coco(read_truth, name):
    truth, path = read_truth(COCO_119)
    samples = predict(truth, seed=1, num_keypoints=17, with_boxes=name != "keypoints")
    meta = make_meta(COCO_SIGMAS, truth)
    ours = evaluate(CocoMetric(path, **OPTIONS[name]), samples, meta)
    assert_same(ours, evaluate_with_mmpose(samples, meta, ann_file=path, **OPTIONS[name]))
    assert 0.05 < ours["coco/AP"] < ours["coco/AR"] < 0.8


@pytest.mark.slow  # the same options on a fifth of the images are above
@pytest.mark.parametrize(("name", "seed"), [("recipe", 2), ("defaults", 3)])
def test_538_images_of_coco(read_truth, name, seed):
    truth, path = read_truth(COCO_538)
    samples = predict(truth, seed, num_keypoints=17)
    meta = make_meta(COCO_SIGMAS, truth)
    ours = evaluate(CocoMetric(path, **OPTIONS[name]), samples, meta)
    assert_same(ours, evaluate_with_mmpose(samples, meta, ann_file=path, **OPTIONS[name]))
    assert all(value > 0 for value in ours.values())


@pytest.mark.parametrize("num_images", [150, pytest.param(2000, marks=pytest.mark.slow)])
def test_crowdpose(read_truth, tmp_path, num_images):
    truth, _ = read_truth(CROWDPOSE, num_images)
    path = write_annotations(truth, tmp_path)
    samples = predict(truth, seed=4, num_keypoints=14)
    meta = make_meta(CROWD_SIGMAS, truth)
    ours = evaluate(CrowdPoseMetric(path, **RECIPE), samples, meta)
    assert_same(ours, evaluate_with_mmpose(samples, meta, ann_file=path, **CROWD, **RECIPE))
    assert len({ours[f"crowdpose/AP({level})"] for level in "EMH"} - {-1.0, 0.0}) == 3


def test_ground_truth_of_the_samples(read_truth):
    truth, _ = read_truth(COCO_119, 40)
    samples, meta = predict(truth, seed=5, num_keypoints=17), make_meta(COCO_SIGMAS, truth)
    theirs = evaluate_with_mmpose(samples, meta, **RECIPE)
    metric = CocoMetric(**RECIPE)
    assert_same(evaluate(metric, samples, meta), theirs)
    assert_same(evaluate(metric, samples, meta), theirs)  # and again: nothing is left of the first time


def test_ground_truth_of_the_samples_of_crowdpose(small_truth):
    samples, meta = predict(small_truth, seed=1, num_keypoints=3), make_meta([0.05] * 3, small_truth)
    theirs = evaluate_with_mmpose(samples, meta, **CROWD, **RECIPE)
    assert_same(evaluate(CrowdPoseMetric(**RECIPE), samples, meta), theirs)
    assert theirs["crowdpose/AP(H)"] == -1


@pytest.mark.parametrize("metric", ["coco", "crowdpose"])
def test_several_categories_and_any_keypoints(read_truth, tmp_path, metric):
    truth, _ = read_truth(COCO_119, num_images := 40)
    random = np.random.default_rng(0)
    for person in truth["annotations"]:
        person["category_id"] = int(random.choice([3, 7]))
        person["keypoints"] = person["keypoints"][:15]
        person["num_keypoints"] = sum(value > 0 for value in person["keypoints"][2::3])
    truth["categories"] = [{"id": number, "name": str(number)} for number in (7, 3, 9)]
    truth["images"] = [{**image, "crowdIndex": index / num_images} for index, image in enumerate(truth["images"])]
    samples = []
    for category in (3, 7, 9):
        samples += [{**each, "category_id": category} for each in predict(truth, seed=category, num_keypoints=5)]
        samples[-num_images:] = [{**each, "id": [*each["id"], category]} for each in samples[-num_images:]]
    path, meta = write_annotations(truth, tmp_path), make_meta(np.array([0.03, 0.1, 0.2, 0.05, 0.08]), truth)
    options = {**RECIPE, **({} if metric == "coco" else CROWD)}
    theirs = evaluate_with_mmpose(samples, meta, ann_file=path, **options)
    assert_same(evaluate(CocoMetric(path, **options), samples, meta), theirs)
    # The third category has nobody; labels count from 0 where categories count from 1.
    for sample in samples:
        sample["pred_instances"]["labels"] = np.full(
            len(sample["pred_instances"]["keypoints"]), sample["category_id"] - 1
        )
        del sample["category_id"]
    assert_same(evaluate(CocoMetric(path, **options), samples, meta), theirs)


@pytest.mark.parametrize("nms_mode", ["oks_nms", pytest.param("soft_oks_nms", marks=pytest.mark.slow)])
def test_top_down_samples_of_one_person_in_any_order_and_twice(read_truth, nms_mode):
    truth, path = read_truth(COCO_119)
    random = np.random.default_rng(0)
    samples = []
    for sample in predict(truth, seed=6, num_keypoints=17):
        found = sample["pred_instances"]
        for index in range(len(found["keypoints"])):
            one = {name: values[[index]] for name, values in found.items() if name != "bbox_scores"}
            given = {"bbox_scores": found["bbox_scores"][[index]], "bbox_scales": random.uniform(30, 300, (1, 2))}
            samples.append({**sample, "id": len(samples), "pred_instances": one, "gt_instances": given})
    samples += samples[:50]
    random.shuffle(samples)
    meta = make_meta(COCO_SIGMAS, truth)
    theirs = evaluate_with_mmpose(samples, meta, ann_file=path, nms_mode=nms_mode)
    assert_same(evaluate(CocoMetric(path, nms_mode=nms_mode), samples, meta), theirs)


def test_keypoints_of_another_data_set(read_truth):
    truth, path = read_truth(COCO_119)
    converter = {"num_keypoints": 5, "mapping": [(0, 4), (5, 0), (6, 1), (11, 2)]}
    options = {**RECIPE, "pred_converter": converter, "gt_converter": converter}
    samples, meta = predict(truth, seed=7, num_keypoints=17), make_meta(COCO_SIGMAS, truth)
    ours = evaluate(CocoMetric(path, **options), samples, meta)
    assert len(meta["sigmas"]) == 17
    assert_same(ours, evaluate_with_mmpose(samples, meta, ann_file=path, **options))


def test_results_file(read_truth, tmp_path):
    truth, path = read_truth(COCO_119)
    samples, meta = predict(truth, seed=8, num_keypoints=17), make_meta(COCO_SIGMAS, truth)
    options = {"ann_file": path, "format_only": True}
    assert evaluate(CocoMetric(**options, outfile_prefix=str(tmp_path / "new/ours")), samples, meta) == {}
    assert evaluate_with_mmpose(samples, meta, **options, outfile_prefix=str(tmp_path / "theirs")) == {}
    ours, theirs = (json.loads((tmp_path / f"{name}.keypoints.json").read_text()) for name in ("new/ours", "theirs"))
    assert ours == theirs
