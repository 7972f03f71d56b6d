"""Conversion between a keypoint set and MMPose's metainfo, in both directions: the one copy.

MMPose has two forms of metainfo.  A dataset is given one, keypoint by keypoint, with names for links; it parses
that to the other, lists of numbers, which evaluators, hooks and checkpoints see as ``dataset_meta``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.keypoints.sides import put_left_first
from rtmo_plugin.structures import KeypointSchema

Links = tuple[tuple[int, int], ...]

_NUM_FACE, _NUM_UPPER_BODY = 5, 11  # COCO's keypoints go from the head to the ankles
_TRUNK = {5, 6, 11, 12}
_COLORS = {"": (51, 153, 255), "left": (0, 255, 0), "right": (255, 128, 0)}  # RGB
# As in MMPose 1.3's metainfo of COCO: limbs weigh more the further out they end.
_JOINT_WEIGHTS = {"elbow": 1.2, "wrist": 1.5, "knee": 1.2, "ankle": 1.5}


def make_metainfo(dataset_name: str, keypoint_set: KeypointSchema) -> dict[str, Any]:
    """Return the ``metainfo`` argument of an MMPose dataset with the keypoints of a keypoint set."""
    names = keypoint_set.names
    partners = {a: names[b] for pair in keypoint_set.flip_pairs for a, b in (pair, pair[::-1])}
    return {
        "dataset_name": dataset_name,
        "keypoint_info": {k: {"name": name, "id": k, "swap": partners.get(k, "")} for k, name in enumerate(names)},
        "skeleton_info": {i: {"link": (names[a], names[b])} for i, (a, b) in enumerate(keypoint_set.skeleton)},
        "joint_weights": [1.0] * len(names),
        "sigmas": list(keypoint_set.sigmas),
    }


def make_coco_metainfo(dataset_name: str) -> dict[str, Any]:
    """Return the ``METAINFO`` of an MMPose dataset with COCO's keypoints, and with its colors and joint weights.

    Apart from its name it parses to what ``configs/_base_/datasets/coco.py`` of MMPose 1.3 does,
    which MMPose looks for relative to the working directory.
    """
    metainfo = make_metainfo(dataset_name, COCO)
    for index, keypoint in metainfo["keypoint_info"].items():
        keypoint.update(color=_choose_color(index), type="upper" if index < _NUM_UPPER_BODY else "lower")
    for (start, end), link in zip(COCO.skeleton, metainfo["skeleton_info"].values()):
        link["color"] = _COLORS[""] if {start, end} <= _TRUNK else _choose_color(start, end)
    weights = [_JOINT_WEIGHTS.get(name.rpartition("_")[2], 1.0) for name in COCO.names]
    return {**metainfo, "paper_info": {}, "joint_weights": weights}


def _choose_color(*indices: int) -> tuple[int, int, int]:
    """Return the color of the side that all these keypoints are on; the face has no side."""
    sides = {COCO.names[index].rpartition("_")[0] if index >= _NUM_FACE else "" for index in indices}
    return _COLORS[sides.pop() if len(sides) == 1 else ""]


def make_dataset_meta(dataset_name: str, keypoint_set: KeypointSchema) -> dict[str, Any]:
    """Return the parsed metainfo of a dataset with the keypoints of a keypoint set, as metrics read it."""
    return {
        "dataset_name": dataset_name,
        "num_keypoints": keypoint_set.num_keypoints,
        "keypoint_id2name": dict(enumerate(keypoint_set.names)),
        "sigmas": np.array(keypoint_set.sigmas, np.float32),
        "flip_pairs": [list(pair) for pair in keypoint_set.flip_pairs],
        "skeleton_links": [list(link) for link in keypoint_set.skeleton],
    }


def read_keypoint_set(dataset_meta: Mapping[str, Any]) -> KeypointSchema:
    """Return the keypoint set in parsed metainfo; names are numbers where there is not one for each sigma.

    Args:
        dataset_meta: Parsed metainfo with ``sigmas``, which MMPose keeps in float32.

    Examples:
        >>> read_keypoint_set(make_dataset_meta("coco", COCO)) == COCO
        True
    """
    sigmas = tuple(round(float(sigma), 6) for sigma in dataset_meta["sigmas"])
    names = read_names(dataset_meta)
    if names is None or len(names) != len(sigmas):  # a metric may map the keypoints of a dataset to others
        return KeypointSchema(tuple(f"keypoint {index}" for index in range(len(sigmas))), sigmas)
    skeleton, flip_pairs = read_links(dataset_meta)
    return KeypointSchema(names, sigmas, flip_pairs, skeleton)


def read_names(dataset_meta: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """Return the keypoint names in parsed metainfo, in order; None if they are missing."""
    noted = (dataset_meta or {}).get("keypoint_id2name")
    if not isinstance(noted, Mapping) or set(noted) != set(range(len(noted))) or not noted:
        return None
    return tuple(str(noted[index]) for index in range(len(noted)))


def read_links(dataset_meta: Mapping[str, Any]) -> tuple[Links, Links]:
    """Return the skeleton and the flip pairs in parsed metainfo, each pair once and its left keypoint first.

    Examples:
        >>> read_links({"keypoint_id2name": {0: "right_eye", 1: "left_eye"}, "flip_pairs": [[0, 1], [1, 0]]})
        ((), ((1, 0),))
    """
    names = dataset_meta["keypoint_id2name"]
    skeleton = tuple((int(a), int(b)) for a, b in dataset_meta.get("skeleton_links", ()))
    pairs: dict[frozenset[int], tuple[int, int]] = {}
    for pair in put_left_first(dataset_meta.get("flip_pairs", ()), names):
        pairs.setdefault(frozenset(pair), pair)
    return skeleton, tuple(pairs.values())


def find_skeletons(dataset_meta: Mapping[str, Any], labels: Iterable[int]) -> list[Links]:
    """Return the skeleton of each person in parsed metainfo: that of the class, where classes have their own.

    Args:
        dataset_meta: Parsed metainfo.
        labels: Class index of each person.

    Examples:
        >>> meta = {"keypoint_id2name": {0: "nose", 1: "tail"}, "skeleton_links": [[0, 1]]}
        >>> find_skeletons(meta, [1, 0])
        [((0, 1),), ((0, 1),)]
        >>> find_skeletons({**meta, "classes": ["cat", "dog"], "class_skeletons": [[[0, 1]], []]}, [1, 0])
        [(), ((0, 1),)]
    """
    own = read_class_skeletons(dataset_meta, len(dataset_meta.get("classes") or ()))
    skeleton, _ = read_links(dataset_meta)
    return [own[label] if own else skeleton for label in labels]


def read_class_skeletons(dataset_meta: Mapping[str, Any], num_classes: int) -> tuple[Links, ...]:
    """Return the skeleton of each class in parsed metainfo; empty if the classes share one.

    Args:
        dataset_meta: Parsed metainfo, with ``class_skeletons`` if ``rtmo_plugin.CocoKeypoints`` made it.
        num_classes: Number of classes of the model.

    Examples:
        >>> read_class_skeletons({"class_skeletons": [[[0, 1]], [[1, 2]]]}, 2)
        (((0, 1),), ((1, 2),))
    """
    noted = dataset_meta.get("class_skeletons") or ()
    if len(noted) != num_classes:
        return ()
    return tuple(tuple((int(a), int(b)) for a, b in links) for links in noted)
