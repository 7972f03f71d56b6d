"""Records of COCO files with ids of any value: classes by name, and the file's own ids again in evaluation."""

import json

import numpy as np
import pytest
from mmengine.registry import init_default_scope

from rtmo_plugin.data import CocoKeypoints
from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.evaluation.coco_metric import CocoMetric
from tests.labels.conftest import NAMES, make_category, make_person, make_set

KEYPOINTS = {"names": NAMES, "sigmas": [0.1] * 5, "flip_pairs": [[1, 2], [3, 4]], "skeleton": [[0, 1], [0, 2]]}
CLASSES = ["walker", "dancer"]


@pytest.fixture
def build(tmp_path):
    """Return a function that writes a set and reads it."""

    def read(coco, **options):
        init_default_scope("mmpose")
        path = tmp_path / "people.json"
        path.write_text(json.dumps(coco))
        return CocoKeypoints(
            **{"keypoints": KEYPOINTS, "classes": CLASSES, "ann_file": str(path), "test_mode": True, **options}
        )

    return read


def test_metainfo_is_that_of_the_schema(build):
    meta = build(make_set(), lazy_init=True).metainfo
    assert [meta["keypoint_id2name"][k] for k in range(5)] == NAMES
    assert meta["flip_indices"] == [0, 2, 1, 4, 3]
    assert meta["skeleton_links"] == [(0, 1), (0, 2)]
    assert meta["sigmas"] == pytest.approx([0.1] * 5)
    assert meta["classes"] == ("walker", "dancer")


@pytest.mark.parametrize("order", [CLASSES, CLASSES[::-1]])
def test_classes_are_numbered_from_1_in_their_order_and_ids_are_kept_for_evaluation(build, order):
    dataset = build(make_set(), classes=order)
    first = dataset.get_data_info(0)
    assert first["category_id"].tolist() == [1 + order.index("walker"), 1 + order.index("dancer")]
    assert dataset.metainfo["category_ids"] == tuple({"walker": 7, "dancer": 900_000}[name] for name in order)


def test_categories_that_are_not_asked_for_and_empty_outlines_are_left_out(build):
    coco = make_set()
    coco["categories"].append(make_category(3, "passer-by"))
    coco["annotations"] += [make_person(9, 300, 3), make_person(10, 300, segmentation=[], num_keypoints=0)]
    (record,) = [each for each in map(build(coco).get_data_info, range(3)) if each["img_id"] == 300]
    assert record["id"] == [10]
    assert record["invalid_segs"] == [None]


def test_each_person_has_an_outline_of_its_own(build):
    triangle, square = [[1, 1, 9, 1, 9, 9]], [[1, 1, 9, 1, 9, 9, 1, 9], [2, 2, 3, 2, 3, 3]]
    runs = {"size": [48, 64], "counts": [0, 48 * 64]}
    outlines = [triangle, [], square, runs, None]
    coco = {
        **make_set(),
        "annotations": [make_person(9 + i, 300, segmentation=each) for i, each in enumerate(outlines)],
    }
    coco["annotations"].append(make_person(20, 300, segmentation=square, num_keypoints=0))
    (record,) = [each for each in map(build(coco).get_data_info, range(3)) if each["img_id"] == 300]
    assert record["segmentation"] == [triangle, None, square, runs, None, square]
    assert record["invalid_segs"] == [square]


def test_missing_category_and_too_many_classes_are_refused(build):
    with pytest.raises(DataError, match=r"has no category 'rider': its categories are \['walker', 'dancer'\]"):
        build(make_set(), classes=["walker", "rider"])
    with pytest.raises(ConfigError, match="at most 127 classes, got 128"):
        build(make_set(), classes=[str(index) for index in range(128)])
    with pytest.raises(KeyError, match="Unknown keypoint set 'dogs'"):
        build(make_set(), keypoints="dogs")


def make_prediction(dataset, index, classes):
    """Return the sample of an image with its ground truth as predictions, of these classes."""
    record = dataset.get_data_info(index)
    found = {
        "keypoints": record["keypoints"], "keypoint_scores": record["keypoints_visible"],
        "bboxes": record["bbox"], "bbox_scores": np.linspace(1, 0.5, len(record["id"])),
        "labels": np.array([dataset.classes.index(name) for name in classes]),
    }  # fmt: skip
    return {"img_id": record["img_id"], "id": record["id"], "pred_instances": found}


@pytest.mark.parametrize(("second", "precision"), [("dancer", 1.0), ("walker", 0.5)])
def test_metric_knows_the_classes_by_the_ids_of_the_file(build, second, precision):
    dataset = build(make_set())
    metric = CocoMetric(ann_file=dataset.ann_file, score_mode="bbox", nms_mode="none")
    metric.dataset_meta = dataset.metainfo
    people = {0: ["walker", second], 1: ["walker"]}
    metric.process({}, [make_prediction(dataset, index, classes) for index, classes in people.items()])
    # A dancer who is taken for a walker is missed; the walkers, whose scores are higher, are all found first.
    assert metric.evaluate(2)["coco/AP"] == pytest.approx(precision)
