"""Keypoint sets of MMPose by name: the same as MMPose reads them, without running its files."""

import subprocess
import sys

import pytest

from rtmo_plugin.keypoints.installed_sets import find_installed_set, list_installed_sets, read_installed_set
from rtmo_plugin.keypoints.sets import find_schema
from tests.keypoints.mmpose_sets import check_against_mmpose

LARGE = {"coco_wholebody": 133, "halpe": 136, "halpe26": 26, "ap10k": 17, "ochuman": 17}


@pytest.mark.parametrize("name", [*LARGE, "animalpose", "mpii", "aic", "posetrack18", "ubody2d"])
def test_set_is_mmposes_metainfo(name):
    schema = read_installed_set(name)
    assert schema.num_keypoints == LARGE.get(name, schema.num_keypoints)
    check_against_mmpose(schema, name)


def test_sets_are_found_by_name_and_by_their_keypoints():
    assert {*LARGE, "coco", "crowdpose"} <= set(list_installed_sets())
    assert find_schema("halpe26") is read_installed_set("halpe26")
    assert find_installed_set(read_installed_set("ap10k").names) is read_installed_set("ap10k")
    assert find_installed_set(["head", "tail"]) is find_installed_set(read_installed_set("ap10k").names[::-1]) is None


def test_set_without_sigmas_and_unknown_names():
    with pytest.raises(ValueError, match="MMPose's keypoint set 'onehand10k' has no sigmas: give a dict"):
        find_schema("onehand10k")
    with pytest.raises(KeyError, match="Unknown keypoint set 'halpe27': name one of coco, crowdpose, halpe26"):
        find_schema("halpe27")


def test_nothing_of_mmpose_is_imported():
    code = "import sys; from rtmo_plugin.keypoints.sets import find_schema; n = find_schema('halpe').num_keypoints"
    check = "print(n, any(name.startswith(('mm', 'torch')) for name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", f"{code}; {check}"], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["136", "False"]
