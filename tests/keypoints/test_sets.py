from pathlib import Path

import mmpose
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rtmo_plugin.keypoints.sets import COCO, KEYPOINT_SCHEMAS, find_schema

METAINFO = Path(mmpose.__file__).parent / ".mim/configs/_base_/datasets"


@pytest.mark.parametrize("name", KEYPOINT_SCHEMAS)
def test_schema_is_mmposes_metainfo(name):
    schema, metainfo = KEYPOINT_SCHEMAS[name], parse_pose_metainfo({"from_file": str(METAINFO / f"{name}.py")})
    assert schema.names == tuple(metainfo["keypoint_id2name"][i] for i in range(metainfo["num_keypoints"]))
    assert schema.sigmas == pytest.approx(metainfo["sigmas"])
    assert schema.skeleton == tuple(metainfo["skeleton_links"])
    flipped = list(range(schema.num_keypoints))
    for a, b in schema.flip_pairs:
        flipped[a], flipped[b] = b, a
    assert flipped == metainfo["flip_indices"]


def test_schema_by_name_by_fields_and_as_it_is():
    fields = {"names": list(COCO.names), "sigmas": list(COCO.sigmas), "flip_pairs": COCO.flip_pairs}
    assert find_schema("coco") is find_schema(COCO) is COCO
    assert find_schema({**fields, "skeleton": [list(pair) for pair in COCO.skeleton]}) == COCO


def test_unknown_name():
    with pytest.raises(KeyError, match=r"Unknown keypoint set 'cocoo': name one of coco, crowdpose, .* or give a dict"):
        find_schema("cocoo")
