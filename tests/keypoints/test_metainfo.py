"""A keypoint set and MMPose's metainfo say the same, in both directions."""

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rtmo_plugin.keypoints.metainfo import (
    make_coco_metainfo,
    make_dataset_meta,
    make_metainfo,
    read_keypoint_set,
    read_links,
    read_names,
)
from rtmo_plugin.keypoints.sets import COCO, CROWDPOSE
from rtmo_plugin.structures import KeypointSchema
from tests.keypoints.mmpose_sets import METAINFO

MIDDLE = KeypointSchema(("a", "b", "c"), (0.1, 0.2, 0.3))  # no sides, no links
SETS = [COCO, CROWDPOSE, MIDDLE]


@pytest.mark.parametrize("keypoint_set", SETS, ids=lambda each: each.names[0])
def test_what_mmpose_parses_is_the_keypoint_set(keypoint_set):
    assert read_keypoint_set(parse_pose_metainfo(make_metainfo("x", keypoint_set))) == keypoint_set


@pytest.mark.parametrize("keypoint_set", SETS, ids=lambda each: each.names[0])
def test_parsed_metainfo_is_mmposes(keypoint_set):
    made, parsed = make_dataset_meta("x", keypoint_set), parse_pose_metainfo(make_metainfo("x", keypoint_set))
    assert read_keypoint_set(made) == keypoint_set
    for name in ("dataset_name", "num_keypoints", "keypoint_id2name"):
        assert made[name] == parsed[name]
    assert [list(link) for link in parsed["skeleton_links"]] == made["skeleton_links"]
    assert np.array_equal(made["sigmas"], parsed["sigmas"])
    assert made["sigmas"].dtype == parsed["sigmas"].dtype


def test_metainfo_of_coco_is_mmposes_file():
    ours = parse_pose_metainfo(make_coco_metainfo("coco"))
    theirs = parse_pose_metainfo({"from_file": str(METAINFO / "coco.py")})
    for name in set(theirs) - {"paper_info"}:
        assert np.array_equal(ours[name], theirs[name]), name


def test_keypoints_that_a_metric_maps_to_others_have_numbers_for_names():
    meta = {**make_dataset_meta("x", COCO), "sigmas": np.array([0.1, 0.2], np.float32)}
    assert read_keypoint_set(meta) == KeypointSchema(("keypoint 0", "keypoint 1"), (0.1, 0.2))


def test_pair_is_listed_once_and_left_first():
    meta = {"keypoint_id2name": dict(enumerate(("right_eye", "left_eye", "p", "q")))}
    assert read_links({**meta, "flip_pairs": [[0, 1], [1, 0], [3, 2], [2, 3]]}) == ((), ((1, 0), (3, 2)))


@pytest.mark.parametrize("meta", [None, {}, {"keypoint_id2name": {}}, {"keypoint_id2name": {1: "a"}}])
def test_metainfo_without_names(meta):
    assert read_names(meta) is None
