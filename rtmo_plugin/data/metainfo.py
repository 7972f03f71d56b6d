"""MMPose's description of keypoints, made from a schema instead of read from a file."""

from typing import Any

from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.structures import KeypointSchema

_NUM_FACE, _NUM_UPPER_BODY = 5, 11  # of COCO's keypoints, which go from the head to the ankles
_TRUNK = {5, 6, 11, 12}
_COLOURS = {"": (51, 153, 255), "left": (0, 255, 0), "right": (255, 128, 0)}  # RGB
# As in MMPose 1.3's metainfo of COCO: limbs weigh more the further out they end.
_JOINT_WEIGHTS = {"elbow": 1.2, "wrist": 1.5, "knee": 1.2, "ankle": 1.5}


def make_metainfo(dataset_name: str) -> dict[str, Any]:
    """Return the ``METAINFO`` of an MMPose dataset with COCO's 17 keypoints.

    Apart from its name it parses to what ``configs/_base_/datasets/coco.py`` of MMPose 1.3 does,
    which MMPose looks for relative to the working directory.
    """
    return {
        "dataset_name": dataset_name,
        "paper_info": {},
        "keypoint_info": {index: _describe_keypoint(index, name) for index, name in enumerate(COCO.names)},
        "skeleton_info": {index: _describe_link(*link) for index, link in enumerate(COCO.skeleton)},
        "joint_weights": [_JOINT_WEIGHTS.get(name.rpartition("_")[2], 1.0) for name in COCO.names],
        "sigmas": list(COCO.sigmas),
    }


def describe_schema(dataset_name: str, schema: KeypointSchema) -> dict[str, Any]:
    """Return the ``metainfo`` of an MMPose dataset with the keypoints of ``schema``."""
    names = schema.names
    partners = {a: names[b] for pair in schema.flip_pairs for a, b in (pair, pair[::-1])}
    return {
        "dataset_name": dataset_name,
        "keypoint_info": {k: {"name": name, "id": k, "swap": partners.get(k, "")} for k, name in enumerate(names)},
        "skeleton_info": {number: {"link": (names[a], names[b])} for number, (a, b) in enumerate(schema.skeleton)},
        "joint_weights": [1.0] * len(names),
        "sigmas": list(schema.sigmas),
    }


def _describe_keypoint(index: int, name: str) -> dict[str, Any]:
    """Return what MMPose's metainfo says of one keypoint."""
    side, _, joint = name.rpartition("_")
    partner = {"left": f"right_{joint}", "right": f"left_{joint}"}.get(side, "")
    half = "upper" if index < _NUM_UPPER_BODY else "lower"
    return {"name": name, "id": index, "color": _choose_colour(index), "type": half, "swap": partner}


def _describe_link(start: int, end: int) -> dict[str, Any]:
    """Return what MMPose's metainfo says of one bone: those of the trunk have no side."""
    colour = _COLOURS[""] if {start, end} <= _TRUNK else _choose_colour(start, end)
    return {"link": (COCO.names[start], COCO.names[end]), "color": colour}


def _choose_colour(*indices: int) -> tuple[int, int, int]:
    """Return the colour of the side that all these keypoints are on; the face has no side."""
    sides = {COCO.names[index].rpartition("_")[0] if index >= _NUM_FACE else "" for index in indices}
    return _COLOURS[sides.pop() if len(sides) == 1 else ""]
