"""MMPose's own files of keypoint sets, to compare ours with."""

from pathlib import Path

import mmpose
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

METAINFO = Path(mmpose.__file__).parent / ".mim/configs/_base_/datasets"


def check_against_mmpose(schema, name):
    """Check that a keypoint set is what MMPose reads from its file of that name."""
    metainfo = parse_pose_metainfo({"from_file": str(METAINFO / f"{name}.py")})
    assert schema.num_keypoints == metainfo["num_keypoints"]
    assert schema.names == tuple(metainfo["keypoint_id2name"][i] for i in range(metainfo["num_keypoints"]))
    assert schema.sigmas == pytest.approx(metainfo["sigmas"])
    assert schema.skeleton == tuple(metainfo["skeleton_links"])
    flipped = list(range(schema.num_keypoints))
    for a, b in schema.flip_pairs:
        flipped[a], flipped[b] = b, a
    assert flipped == metainfo["flip_indices"]
