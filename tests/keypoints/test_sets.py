import pytest

from rtmo_plugin.keypoints.sets import COCO, KEYPOINT_SCHEMAS, find_schema
from tests.keypoints.mmpose_sets import check_against_mmpose


@pytest.mark.parametrize("name", KEYPOINT_SCHEMAS)
def test_schema_is_mmposes_metainfo(name):
    check_against_mmpose(KEYPOINT_SCHEMAS[name], name)


def test_schema_by_name_by_fields_and_as_it_is():
    fields = {"names": list(COCO.names), "sigmas": list(COCO.sigmas), "flip_pairs": COCO.flip_pairs}
    assert find_schema("coco") is find_schema(COCO) is COCO
    assert find_schema({**fields, "skeleton": [list(pair) for pair in COCO.skeleton]}) == COCO


def test_unknown_name():
    with pytest.raises(KeyError, match=r"Unknown keypoint set 'cocoo': name one of coco, crowdpose, .* or give a dict"):
        find_schema("cocoo")
