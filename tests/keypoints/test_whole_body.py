"""COCO-WholeBody's fields in one list, in MMPose's order."""

import numpy as np
import pytest
from mmpose.datasets import CocoWholeBodyDataset

from rtmo_plugin.keypoints.whole_body import FIELDS, NUM_BY_PART, join_parts


def make_whole_person(**changes):
    """Return an annotation of COCO-WholeBody whose coordinates count its 133 keypoints."""
    points = [[100 + index, index / 2, index % 3] for index in range(133)]
    pieces = np.split(np.array(points), np.cumsum([*NUM_BY_PART.values()])[:-1])
    parts = {field: piece.ravel().tolist() for field, piece in zip(FIELDS.values(), pieces)}
    flags = {f"{part}_valid": True for part in NUM_BY_PART if part != "body"}
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [90, 0, 150, 70], "area": 5000.0, "iscrowd": 0,
              "num_keypoints": 11, "segmentation": [], **parts, **flags}  # fmt: skip
    return {**person, **changes}


def test_order_is_mmposes():
    person = make_whole_person()
    dataset = CocoWholeBodyDataset(lazy_init=True)
    image = {"file_name": "1.jpg", "width": 640, "height": 480, "img_id": 1}
    record = dataset.parse_data_info({"raw_ann_info": person, "raw_img_info": image})
    points = np.reshape(join_parts(person)["keypoints"], (133, 3))
    np.testing.assert_array_equal(points[:, :2], record["keypoints"][0])
    np.testing.assert_array_equal(points[:, 2] > 0, record["keypoints_visible"][0])


def test_fields_and_flags_are_gone_and_keypoints_are_counted():
    joined = join_parts(make_whole_person())
    assert joined["num_keypoints"] == 88
    assert not {"foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts", "foot_valid"} & joined.keys()
    assert joined["area"] == 5000.0


@pytest.mark.parametrize(("part", "chosen"), [("foot", slice(17, 23)), ("righthand", slice(112, 133))])
def test_parts_that_are_missing_or_not_valid_are_unlabeled(part, chosen):
    person = make_whole_person()
    missing = {key: value for key, value in person.items() if key != FIELDS[part]}
    for each in (missing, {**person, f"{part}_valid": False}):
        points = np.reshape(join_parts(each)["keypoints"], (133, 3))
        assert not points[chosen].any()
        assert np.delete(points, chosen, axis=0)[:, 0].all()


@pytest.mark.parametrize("changes", [{"foot_kpts": [1, 2]}, {"face_kpts": None}, {"keypoints": [0] * 399}])
def test_other_annotations_stay_as_they_are(changes):
    person = make_whole_person(**changes)
    assert join_parts(person) == person
    assert join_parts({"keypoints": [1, 2, 2]}) == {"keypoints": [1, 2, 2]}
