"""The same numbers as MMPose's metrics on large keypoint sets: COCO-WholeBody in its parts, Halpe, AP-10K, OCHuman."""

import contextlib
import io
import json

import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmpose.evaluation.metrics import coco_wholebody_metric as theirs

from rtmo_plugin.errors import DataError
from rtmo_plugin.evaluation import CocoMetric, CocoWholeBodyMetric
from rtmo_plugin.evaluation.results_file import read_results
from rtmo_plugin.keypoints.installed_sets import read_installed_set
from rtmo_plugin.keypoints.whole_body import FIELDS, NUM_BY_PART
from tests.evaluation.detections import evaluate, evaluate_with_mmpose, make_meta, predict, write_annotations
from tests.evaluation.test_equality import RECIPE, assert_same

PARTS = {"body": slice(0, 17), "foot": slice(17, 23), "face": slice(23, 91), "lefthand": slice(91, 112)}
PARTS["righthand"] = slice(112, 133)


def draw_truth(num_keypoints, num_images=16, seed=0, categories=(1,)):
    """Return people with any number of keypoints, some of them a part at a time without labels, and crowds."""
    random = np.random.default_rng(seed)
    people = []
    for number in range(2 * num_images):
        corner, size = random.uniform(0, 300, 2), random.uniform(20, 250, 2)
        points = np.concatenate([corner + random.uniform(0, 1, (num_keypoints, 2)) * size,
                                 random.choice([0, 1, 2], (num_keypoints, 1))], 1)  # fmt: skip
        points[points[:, 2] == 0] = 0
        for chosen in PARTS.values():
            if random.random() < 0.2:
                points[chosen] = 0
        people.append({
            "id": number + 1, "image_id": int(random.integers(1, num_images + 1)),
            "category_id": int(random.choice(categories)), "bbox": [*corner.tolist(), *size.tolist()],
            "area": float(size.prod() * 0.6), "iscrowd": int(random.random() < 0.05),
            "num_keypoints": int((points[:, 2] > 0).sum()), "keypoints": points.ravel().tolist(),
        })  # fmt: skip
    images = [
        {"id": each, "width": 640, "height": 480, "file_name": f"{each}.jpg"} for each in range(1, num_images + 1)
    ]
    named = [{"id": each, "name": f"kind {each}"} for each in categories]
    return {"images": images, "annotations": people, "categories": named}


def split_fields(truth):
    """Return the same people with feet, face and hands in fields of their own, as COCO-WholeBody's files have them."""
    people = []
    for person in truth["annotations"]:
        points = np.reshape(person["keypoints"], (-1, 3))
        parts = {FIELDS[part]: points[chosen].ravel().tolist() for part, chosen in PARTS.items()}
        flags = {f"{part}_valid": bool((points[PARTS[part]][:, 2] > 0).any()) for part in NUM_BY_PART if part != "body"}
        people.append({**person, **parts, **flags})
    return {**truth, "annotations": people}


def evaluate_parts_with_mmpose(samples, meta, monkeypatch, **options):
    """Return the metrics of MMPose's CocoWholeBodyMetric, and by part the numbers that it prints."""
    printed = {}

    class Recorder(theirs.COCOeval):
        def summarize(self):
            super().summarize()
            printed[self.params.iouType.removeprefix("keypoints_")] = list(self.stats)

    monkeypatch.setattr(theirs, "COCOeval", Recorder)
    MMLogger.get_current_instance().setLevel("ERROR")
    with contextlib.redirect_stdout(io.StringIO()):
        metrics = evaluate(theirs.CocoWholeBodyMetric(**options), samples, meta)
    return metrics, printed


@pytest.fixture
def whole_body():
    """Return people, their annotation with fields, samples of a model and the metainfo."""
    plain = draw_truth(133)
    samples = predict(plain, seed=1, num_keypoints=133)
    for index, sample in enumerate(samples):  # some detections without a scored foot or hand
        sample["pred_instances"]["keypoint_scores"][index % 3 :: 3, 17:23] = 0
        sample["pred_instances"]["keypoint_scores"][index % 5 :: 5, 91:] = 0
    meta = make_meta(np.array(read_installed_set("coco_wholebody").sigmas, np.float32), plain)
    return plain, split_fields(plain), samples, meta


@pytest.mark.filterwarnings("ignore:.*_score' not found")
@pytest.mark.parametrize("options", [RECIPE, {}, {"use_area": False, **RECIPE}])
def test_whole_body_and_its_parts(whole_body, tmp_path, monkeypatch, options):
    _, truth, samples, meta = whole_body
    path = write_annotations(truth, tmp_path)
    metrics, printed = evaluate_parts_with_mmpose(samples, meta, monkeypatch, ann_file=path, **options)
    ours = evaluate(CocoWholeBodyMetric(path, **options), samples, meta)
    assert_same({name: ours[name] for name in metrics}, metrics)
    assert list(printed) == [*PARTS, "wholebody"]
    for part in PARTS:
        found = [ours[f"coco-wholebody/{kind} of {part}"] for kind in ("AP", "AR")]
        assert found == pytest.approx([printed[part][0], printed[part][5]], abs=1e-9, rel=0)
        assert 0 < found[0] < 0.9
    assert list(ours) == CocoWholeBodyMetric().list_names()
    assert len(ours) == 10 + 2 * 5


def test_fields_and_one_list_of_keypoints_are_the_same_truth(whole_body, tmp_path):
    plain, truth, samples, meta = whole_body
    ours = [
        evaluate(CocoWholeBodyMetric(write_annotations(each, tmp_path, f"{name}.json"), **RECIPE), samples, meta)
        for name, each in (("plain", plain), ("fields", truth))
    ]
    ours.append(evaluate(CocoWholeBodyMetric(**RECIPE), [_give_truth(each, truth) for each in samples], meta))
    assert ours[0] == ours[1] == ours[2]


def _give_truth(sample, truth):
    return {**sample, "raw_ann_info": [each for each in truth["annotations"] if each["image_id"] == sample["img_id"]]}


def test_result_file_has_the_fields_of_mmpose_and_is_read_again(whole_body, tmp_path, monkeypatch):
    _, truth, samples, meta = whole_body
    path = write_annotations(truth, tmp_path)
    metric = CocoWholeBodyMetric(path, outfile_prefix=str(tmp_path / "ours"), **RECIPE)
    metrics = evaluate(metric, samples, meta)
    options = {"ann_file": path, "outfile_prefix": str(tmp_path / "theirs"), "format_only": True}
    evaluate_parts_with_mmpose(samples, meta, monkeypatch, **options, **RECIPE)
    ours, mmposes = (json.loads((tmp_path / f"{name}.keypoints.json").read_text()) for name in ("ours", "theirs"))
    assert ours == mmposes
    again = evaluate(CocoWholeBodyMetric(path, **RECIPE), read_results(tmp_path / "ours.keypoints.json"), meta)
    assert again == pytest.approx(metrics, abs=1e-9)


def test_other_numbers_of_keypoints_are_refused(small_truth, tmp_path):
    path = write_annotations(small_truth, tmp_path)
    samples, meta = predict(small_truth, seed=1, num_keypoints=3), make_meta([0.05] * 3, small_truth)
    with pytest.raises(DataError, match="CocoWholeBodyMetric is for 133 keypoints, and the data set has 3"):
        evaluate(CocoWholeBodyMetric(path, **RECIPE), samples, meta)


@pytest.mark.parametrize(
    ("name", "categories"), [("halpe26", (1,)), ("halpe", (1,)), ("ochuman", (1,)), ("ap10k", (1, 4, 9))]
)
def test_other_large_sets(tmp_path, name, categories):
    """With MMPose's CocoMetric; of AP-10K's species each counts alike, however many animals it has."""
    keypoints = read_installed_set(name)
    truth = draw_truth(keypoints.num_keypoints, categories=categories)
    samples = []
    for category in categories:
        found = predict(truth, seed=category, num_keypoints=keypoints.num_keypoints)
        samples += [{**each, "category_id": category, "id": [*each["id"], -category]} for each in found]
    path, meta = write_annotations(truth, tmp_path), make_meta(np.array(keypoints.sigmas, np.float32), truth)
    ours = evaluate(CocoMetric(path, **RECIPE), samples, meta)
    assert_same(ours, evaluate_with_mmpose(samples, meta, ann_file=path, **RECIPE))
    assert 0.01 < ours["coco/AP"] < 0.9


def test_each_category_by_itself(tmp_path):
    """AP is the mean of the categories' APs, and each is that of a file with this category alone."""
    truth = draw_truth(17, categories=(3, 7))
    samples = predict(truth, seed=2, num_keypoints=17)
    for sample in samples:
        sample["pred_instances"]["labels"] = np.arange(len(sample["pred_instances"]["keypoints"])) % 2
    meta = {**make_meta([0.1] * 17, truth), "category_ids": (3, 7)}
    path = write_annotations(truth, tmp_path)
    ours = evaluate(CocoMetric(path, class_wise=True, **RECIPE), samples, meta)
    assert ours["coco/AP"] == pytest.approx((ours["coco/AP of kind 3"] + ours["coco/AP of kind 7"]) / 2, abs=1e-12)
    for label, category in enumerate((3, 7)):
        people = [each for each in truth["annotations"] if each["category_id"] == category]
        alone = write_annotations(
            {**truth, "annotations": people, "categories": [{"id": category}]}, tmp_path, "a.json"
        )
        mine = [_keep_label(sample, label, category) for sample in samples]
        found = evaluate_with_mmpose(mine, meta, ann_file=alone, **RECIPE)
        for kind in ("AP", "AR"):
            assert ours[f"coco/{kind} of kind {category}"] == pytest.approx(found[f"coco/{kind}"], abs=1e-9)


def _keep_label(sample, label, category):
    found = sample["pred_instances"]
    chosen = found["labels"] == label
    kept = {name: values[chosen] for name, values in found.items() if name != "labels"}
    return {**sample, "category_id": category, "pred_instances": kept}
