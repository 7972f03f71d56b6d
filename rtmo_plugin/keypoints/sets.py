"""Keypoint sets known by name: plain data, in the order of the datasets' annotation files.

Sigmas are the per-keypoint standard deviations of the object keypoint similarity (OKS), from the
COCO keypoint evaluation and from the CrowdPose toolkit.
"""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from rtmo_plugin.keypoints.installed_sets import list_installed_sets, read_installed_set
from rtmo_plugin.keypoints.sides import find_flip_pairs
from rtmo_plugin.structures import KeypointSchema

COCO = KeypointSchema(
    names=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
        "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
        0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    skeleton=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
        (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
)  # fmt: skip

CROWDPOSE = KeypointSchema(
    names=(
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
        "top_head", "neck",
    ),
    sigmas=(
        0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079,
    ),
    flip_pairs=((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)),
    skeleton=(
        (10, 8), (8, 6), (11, 9), (9, 7), (6, 7), (0, 6), (1, 7), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5),
        (12, 13), (1, 13), (0, 13),
    ),
)  # fmt: skip

KEYPOINT_SCHEMAS = {"coco": COCO, "crowdpose": CROWDPOSE}


def find_schema(keypoints: "str | Mapping[str, Any] | KeypointSchema") -> KeypointSchema:
    """Return the schema that ``keypoints`` names or describes.

    Args:
        keypoints: A name in ``KEYPOINT_SCHEMAS`` or of a set of the installed MMPose (``halpe26``), a dict of
            ``KeypointSchema``'s fields, or a schema.  A dict without ``flip_pairs`` has those that its names tell
            (see ``find_flip_pairs``); given ones stay, an empty list as well.

    Raises:
        KeyError: The name is unknown; the message lists the known ones.
        ValueError: The dict does not describe a keypoint set (see ``KeypointSchema``), or leaves that to
            an annotation file; or MMPose's set has no sigmas.
    """
    if isinstance(keypoints, KeypointSchema):
        return keypoints
    if isinstance(keypoints, str):
        if keypoints in KEYPOINT_SCHEMAS:
            return KEYPOINT_SCHEMAS[keypoints]
        try:
            return read_installed_set(keypoints)
        except KeyError:
            known = [*sorted(KEYPOINT_SCHEMAS), *get_close_matches(keypoints, list_installed_sets())]
            more = "one of the installed MMPose's" if list_installed_sets() else "with MMPose installed, one of its"
            raise KeyError(
                f"Unknown keypoint set {keypoints!r}: name one of {', '.join(dict.fromkeys(known))}, {more} sets, or "
                "give a dict of its fields."
            ) from None
    if "from_data" in keypoints:
        raise ValueError(
            "This config takes its keypoints from an annotation file, which `rtmo train` reads: use that command, or "
            "the config that it writes beside the checkpoints."
        )
    schema = KeypointSchema.from_dict(keypoints)
    return schema if "flip_pairs" in keypoints else replace(schema, flip_pairs=find_flip_pairs(schema.names))
