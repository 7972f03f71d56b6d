"""COCO files as other tools write them: harmless differences are not findings, repeats and losses are."""

import copy
import json

import numpy as np
import pytest

from rtmo_plugin.errors import DataError
from rtmo_plugin.evaluation.ground_truth import make_ground_truth
from rtmo_plugin.evaluation.records import MetricOptions
from rtmo_plugin.labels import check_file, convert_file
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.coco_files import read_coco
from rtmo_plugin.labels.dataset_keypoints import read_dataset_keypoints
from rtmo_plugin.labels.fixing import fix_coco

NAMES = ["nose", "left_eye", "right_eye", "left_hip", "right_hip"]


def make_coco(count=6):
    """Return a file with one person in each image, all of them different."""
    people = []
    for number in range(1, count + 1):
        x, y = 20 + 7 * number, 30 + 5 * number
        points = [[x + 40, y + 10], [x + 50, y + 5], [x + 30, y + 5], [x + 55, y + 90], [x + 25, y + 95]]
        people.append({
            "id": number, "image_id": number, "category_id": 1, "bbox": [x, y, 80, 120 + number], "iscrowd": 0,
            "area": 5000 + 50 * number, "num_keypoints": 5, "keypoints": [v for point in points for v in (*point, 2)],
        })  # fmt: skip
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 320, "height": 240} for n in range(1, count + 1)]
    return {
        "images": images,
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "supercategory": "people", "keypoints": NAMES, "skeleton": []}],
    }


@pytest.mark.parametrize("held", [{}, {"keypoints": []}, {"keypoints": None, "skeleton": None}])
def test_categories_without_keypoints_are_no_finding(tmp_path, held):
    coco = make_coco()
    coco["categories"] = [{"id": 0, "name": "people", "supercategory": "none", **held}, *coco["categories"]]
    coco["annotations"].append({"id": 90, "image_id": 1, "category_id": 0, "bbox": [1, 2, 30, 40], "area": 900})
    assert check_coco(coco) == {}
    assert fix_coco(coco).coco == coco
    file, out = tmp_path / "roboflow.json", tmp_path / "out"
    file.write_text(json.dumps(coco))
    assert convert_file(file, out, target_format="yolo")
    assert (out / "data.yaml").read_text().count("person") == 1
    assert sum(len(path.read_text().splitlines()) for path in (out / "labels").rglob("*.txt")) == 6


def test_keypoints_of_a_category_without_names_are_a_finding():
    coco = make_coco()
    coco["categories"].append({"id": 2, "name": "dog", "supercategory": "animal"})
    coco["annotations"].append({**coco["annotations"][0], "id": 90, "category_id": 2})
    assert set(check_coco(coco)) == {"category-keypoints"}


def test_a_null_area_is_a_missing_one():
    coco = make_coco()
    for person in coco["annotations"]:
        person.update(area=None, segmentation=None, iscrowd=None)
    assert check_coco(coco) == {}


@pytest.mark.parametrize("held", [{}, {"keypoints": []}, {"keypoints": None, "num_keypoints": 3}])
def test_people_without_keypoints_stay(held):
    coco = make_coco()
    for key in ("keypoints", "num_keypoints"):
        del coco["annotations"][2][key]
    coco["annotations"][2].update(held)
    assert set(check_coco(coco)) == {"annotation-form"}
    fixed = fix_coco(coco)
    assert fixed.remaining == {}
    assert fixed.coco["annotations"][2] == {**make_coco()["annotations"][2], "keypoints": [0] * 15, "num_keypoints": 0}


def test_people_who_are_there_under_two_ids():
    coco = make_coco()
    coco["annotations"] += [{**copy.deepcopy(person), "id": person["id"] + 100} for person in coco["annotations"][:2]]
    found = check_coco(coco)
    assert [problem.place for problem in found["annotation-copy"]] == [6, 7]
    fixed = fix_coco(coco)
    assert (fixed.coco, fixed.remaining) == (make_coco(), {})


def test_crowds_and_people_of_two_images_are_no_copies():
    coco = make_coco()
    coco["annotations"] += [
        {**coco["annotations"][0], "id": 90, "image_id": 2},
        {**coco["annotations"][1], "id": 91, "keypoints": [0] * 15, "num_keypoints": 0},
    ]
    assert check_coco(coco) == {}


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_file_without_labeled_keypoints_is_not_right(tmp_path, is_empty):
    coco = make_coco()
    for person in coco["annotations"]:
        person.update(keypoints=[0] * 15, num_keypoints=0)
    coco["annotations"] = [] if is_empty else coco["annotations"]
    assert set(check_coco(coco)) == {"unlabeled-file"}
    file = tmp_path / "a.json"
    file.write_text(json.dumps(coco))
    assert not check_file(file, fix=tmp_path / "b.json")


def test_a_fix_that_loses_most_keypoints_fails(tmp_path, capsys):
    coco = make_coco()
    for person in coco["annotations"]:  # in thousandths of the image
        scales = (1000 / 320, 1000 / 240, 1)
        person["keypoints"] = [value * scales[place % 3] for place, value in enumerate(person["keypoints"])]
        person["bbox"] = [value * scales[place % 2] for place, value in enumerate(person["bbox"])]
        del person["area"]
    file, fixed = tmp_path / "a.json", tmp_path / "b.json"
    file.write_text(json.dumps(coco))
    assert not check_file(file, fix=fixed)
    assert "labeled keypoints are left, too few" in capsys.readouterr().out
    assert read_coco(file) == coco
    with pytest.raises(Exception, match=r"cannot be trained on.*\[keypoint-outside\]"):
        read_dataset_keypoints(file)


def test_evaluation_leaves_out_categories_without_keypoints():
    options = MetricOptions()
    coco = make_coco()
    alone = make_ground_truth(coco, "a.json", options, 5)
    coco["categories"].append({"id": 9, "name": "car"})
    coco["annotations"].append({"id": 90, "image_id": 1, "category_id": 9, "bbox": [1, 2, 30, 40], "area": 900})
    truth = make_ground_truth(coco, "a.json", options, 5)
    np.testing.assert_array_equal(truth.keypoints, alone.keypoints)
    del coco["annotations"][0]["keypoints"]
    with pytest.raises(DataError, match=r"Annotation 1 of a\.json has no `keypoints`"):
        make_ground_truth(coco, "a.json", options, 5)
