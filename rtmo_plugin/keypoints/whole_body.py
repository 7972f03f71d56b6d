"""COCO-WholeBody's files: 17 keypoints in ``keypoints`` and in the category's names, 116 more in fields of their own.

Here they become one list, in the order of MMPose's set ``coco_wholebody``: body, feet, face, left hand, right hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WHOLE_BODY = "coco_wholebody"  # name of MMPose's keypoint set
NUM_BY_PART = {"body": 17, "foot": 6, "face": 68, "lefthand": 21, "righthand": 21}
NUM_WHOLE_BODY = sum(NUM_BY_PART.values())
FIELDS = {part: "keypoints" if part == "body" else f"{part}_kpts" for part in NUM_BY_PART}
_FLAGS = {part: f"{part}_valid" for part in NUM_BY_PART if part != "body"}


def has_parts(person: Mapping[str, Any]) -> bool:
    """Return whether an annotation has keypoints of feet, face or hands in fields of their own.

    Examples:
        >>> has_parts({"keypoints": [0] * 51, "foot_kpts": [0] * 18}), has_parts({"keypoints": [0] * 51})
        (True, False)
    """
    return any(FIELDS[part] in person for part in _FLAGS)


def join_parts(person: Mapping[str, Any]) -> dict[str, Any]:
    """Return an annotation with the keypoints of all parts in ``keypoints``, and without their fields.

    A part that is missing, or that a flag such as ``lefthand_valid`` says is not there, is unlabeled. An annotation
    without parts stays as it is, and so do fields of another length or kind, which checks and evaluation name.

    Args:
        person: Annotation of a COCO file.

    Examples:
        >>> joined = join_parts({"keypoints": [5, 6, 2] * 17, "foot_kpts": [1, 2, 1] * 6, "face_valid": False})
        >>> len(joined["keypoints"]) // 3, joined["keypoints"][51:54], joined["num_keypoints"]
        (133, [1, 2, 1], 23)
    """
    if not has_parts(person):
        return dict(person)
    lists = {}
    for part, num_keypoints in NUM_BY_PART.items():
        is_absent = part in _FLAGS and person.get(_FLAGS[part]) is False
        unlabeled = [0] * (3 * num_keypoints)
        lists[part] = unlabeled if is_absent else person.get(FIELDS[part], unlabeled)
    if any(not isinstance(each, list) or len(each) != 3 * NUM_BY_PART[part] for part, each in lists.items()):
        return dict(person)
    dropped = {*FIELDS.values(), *_FLAGS.values()}
    kept = {key: value for key, value in person.items() if key not in dropped}
    keypoints = [value for each in lists.values() for value in each]
    num_labeled = sum(isinstance(v, (int, float)) and v > 0 for v in keypoints[2::3])
    return {**kept, "keypoints": keypoints, "num_keypoints": num_labeled}
