"""Bones of each class: from a COCO file through the config and the metadata of a model to its plots."""

import json

import numpy as np
import pytest

from rtmo_plugin.config.edits import prepare_config
from rtmo_plugin.data.coco_keypoints import CocoKeypoints
from rtmo_plugin.errors import DataError
from rtmo_plugin.keypoints.metainfo import read_class_skeletons
from rtmo_plugin.labels import read_dataset_keypoints
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.pose.results import PoseResult
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.model_info import ModelInfo
from rtmo_plugin.structures import KeypointSchema
from tests.labels.conftest import make_set

SKELETONS = (((0, 1),), ((1, 2),))
INFO = ModelInfo(
    KeypointSchema(("a", "b", "c"), (0.1,) * 3, skeleton=((0, 1), (1, 2))), ("cat", "dog"), class_skeletons=SKELETONS
)


def make_joined(*skeletons):
    coco = make_set()
    for category, skeleton in zip(coco["categories"], skeletons):
        category["skeleton"] = skeleton
    return coco


@pytest.mark.parametrize(
    ("skeletons", "found"),
    [
        (([[1, 2]], [[2, 3], [2, 3]]), (((0, 1),), ((1, 2),))),
        (([[1, 2]], []), (((0, 1),), ((0, 1),))),
        (([[1, 2], [2, 3]], [[2, 3], [1, 2]]), ()),
    ],
)
def test_a_file_whose_classes_have_different_bones(tmp_path, skeletons, found):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(make_joined(*skeletons)))
    data = read_dataset_keypoints(path)
    assert data.class_skeletons == found
    assert set(data.schema.skeleton) == {(a - 1, b - 1) for bones in skeletons for a, b in bones}


def test_the_config_has_them_and_the_data_set_passes_them_on(tmp_path):
    for name in ("train.json", "val.json"):
        (tmp_path / name).write_text(json.dumps(make_joined([[1, 2]], [[2, 3]])))
    cfg = prepare_config("rtmo-s_custom", data_root=tmp_path)
    options = {key: value for key, value in cfg.test_dataloader.dataset.items() if key != "type"}
    metainfo = CocoKeypoints(**{**options, "pipeline": [], "lazy_init": True}).metainfo
    assert read_class_skeletons(metainfo, 2) == SKELETONS
    assert read_class_skeletons(metainfo, 1) == read_class_skeletons({}, 2) == ()


def test_metadata_of_a_file_keep_them():
    strings = INFO.to_strings()
    assert ModelInfo.from_strings(strings, "x.onnx") == INFO
    del strings["class_skeletons"]  # as in files of earlier versions
    assert ModelInfo.from_strings(strings, "x.onnx").find_skeletons([1]) == [INFO.schema.skeleton]
    for wrong in ([[[0, 1]]], [[[0, 3]], []], [0, 1], "ab"):
        with pytest.raises(DataError, match="metadata that this version cannot read"):
            ModelInfo.from_strings({**strings, "class_skeletons": json.dumps(wrong)}, "x.onnx")


def test_a_person_is_drawn_with_the_bones_of_the_class():
    points = np.array([[10.0, 20.0], [50.0, 20.0], [90.0, 20.0]])
    keypoints = np.stack([points, points + np.array([0, 60])])
    people = Detections(np.zeros((2, 4)), np.ones(2), keypoints, np.ones((2, 3)), np.array([0, 1]))
    result = PoseResult(Frame(np.zeros((100, 100, 3), np.uint8), "x"), people, INFO)
    drawn = result.plot()
    assert [bool(drawn[y, x].any()) for y in (20, 80) for x in (30, 70)] == [True, False, False, True]
