"""Ground truth in COCO's format, read off the drawing.

Masks, boxes and areas come from the label map at the image's resolution.  A keypoint is labeled
0 outside the image, 2 where the map shows the part it belongs to, 1 where something hides it: that
includes the person's own body.

Shape letters: H, W image, F people, K = 17 keypoints, S slots.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.data.synthetic import parts, rendering
from rtmo_plugin.data.synthetic.poses import LANDMARK_INDEX
from rtmo_plugin.data.synthetic.scene import Scene, keep_people, sample_scene
from rtmo_plugin.data.synthetic.settings import MAX_PEOPLE, SceneSettings
from rtmo_plugin.keypoints.sets import COCO

MIN_VISIBLE_KEYPOINTS = 4  # a person with fewer is not drawn
_MAX_ANNOTATIONS = 100  # ids of one image start at 100 times its own


class _Rule(NamedTuple):
    """When a keypoint is seen.

    Attributes:
        own: Slots whose sight is the keypoint's own.
        surface: Slots that show it too, unless it lies on the far side of the body,
        anchor: that is, further than this landmark
        margin: by more than this share of the standing height.
    """

    own: tuple[str, ...]
    surface: tuple[str, ...] = ()
    anchor: str = "pelvis"
    margin: float = 0.0


def _list_rules(side: str) -> dict[str, _Rule]:
    """Return the rules of one side's keypoints."""
    rules = {
        "eye": _Rule(("eye", "pupil"), ("face",), "forehead"),
        "ear": _Rule(("ear",)),
        "shoulder": _Rule(("upper_arm", "sleeve"), ("torso",), "chest", 0.11),
        "elbow": _Rule(("upper_arm", "sleeve", "forearm")),
        "wrist": _Rule(("forearm", "hand")),
        "hip": _Rule(("thigh",), ("pelvis", "torso", "skirt"), "pelvis", 0.06),
        "knee": _Rule(("thigh", "shin")),
        "ankle": _Rule(("shin", "foot")),
    }
    return {f"{side}_{name}": r._replace(own=tuple(f"{side}_{slot}" for slot in r.own)) for name, r in rules.items()}


_RULES_BY_NAME = {"nose": _Rule(("nose",), ("face",), "forehead"), **_list_rules("left"), **_list_rules("right")}
_RULES = [_RULES_BY_NAME[name] for name in COCO.names]
_IS_OWN = np.array([[slot in rule.own for slot in parts.SLOTS] for rule in _RULES])  # (K, S)
_IS_SURFACE = np.array([[slot in rule.surface for slot in parts.SLOTS] for rule in _RULES])  # (K, S)
_ANCHORS = np.array([LANDMARK_INDEX[rule.anchor] for rule in _RULES])
_MARGINS = np.array([rule.margin for rule in _RULES])
_NUM_KEYPOINTS = len(_RULES)


def sample_visible_scene(settings: SceneSettings, seed: int, index: int) -> tuple[Scene, NDArray[Any]]:
    """Sample a scene in which at least four keypoints of every person can be seen.

    Returns:
        The scene and its label map, (2H, 2W) uint8.
    """
    scene = sample_scene(settings, seed, index)
    while True:  # each round removes a person, so there are at most 8
        labels = rendering.draw_labels(scene)
        is_seen = (label_visibility(scene, labels) == 2).sum(axis=1) >= MIN_VISIBLE_KEYPOINTS
        if is_seen.all():
            return scene, labels
        scene = keep_people(scene, is_seen)


def label_visibility(scene: Scene, labels: NDArray[Any]) -> NDArray[Any]:
    """Return COCO's visibility of every keypoint, (F, K): 0 outside, 1 hidden, 2 seen.

    Args:
        scene: Scene with the people.
        labels: Its label map, (2H, 2W) uint8.
    """
    points = scene.landmarks[:, :_NUM_KEYPOINTS]
    size_wh = np.array(scene.settings.size_wh)
    is_inside = ((points[..., :2] >= 0) & (points[..., :2] <= size_wh - 1)).all(axis=-1)
    columns, rows = np.where(is_inside[..., None], np.rint(points[..., :2]), 0).astype(int).transpose(2, 0, 1)
    person, slot = np.divmod(rendering.halve_labels(labels)[rows, columns].astype(int) - 1, rendering.NUM_SLOTS)
    anchor_depths = scene.landmarks[:, _ANCHORS, 2] - _MARGINS * scene.heights[:, None]
    keypoint = np.arange(_NUM_KEYPOINTS)
    is_shown = _IS_OWN[keypoint, slot] | (_IS_SURFACE[keypoint, slot] & (points[..., 2] >= anchor_depths))
    is_shown &= person == np.arange(len(points))[:, None]
    return np.where(is_inside, np.where(is_shown, 2, 1), 0)


def annotate_people(scene: Scene, labels: NDArray[Any], image_id: int) -> list[dict[str, Any]]:
    """Return one COCO annotation for each person, far to near.

    Args:
        scene: Scene with the people.
        labels: Its label map, (2H, 2W) uint8.
        image_id: Id of the image; the ids of the annotations follow from it.
    """
    visibility = label_visibility(scene, labels)
    owners = cv2.LUT(rendering.halve_labels(labels), _OWNERS)
    annotations = []
    for person, seen in enumerate(visibility):
        mask = owners == person
        points = np.where(seen[:, None] > 0, np.round(scene.landmarks[person, :_NUM_KEYPOINTS, :2], 2), 0.0)
        keypoints = np.concatenate([points, seen[:, None]], axis=1).ravel().tolist()
        keypoints[2::3] = seen.tolist()
        annotations.append(
            {
                "id": image_id * _MAX_ANNOTATIONS + person + 1,  # never 0, which pycocotools takes for "no match"
                "image_id": image_id,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [float(value) for value in cv2.boundingRect(mask.astype(np.uint8))],
                "area": float(np.count_nonzero(mask)),
                "segmentation": {"size": list(mask.shape), "counts": encode_runs(mask)},
                "keypoints": keypoints,  # those outside the image are three zeros
                "num_keypoints": int((seen > 0).sum()),
            }
        )
    return annotations


_OWNERS = np.full(256, 255, np.uint8)  # the person of every label
_OWNERS[1 : 1 + MAX_PEOPLE * rendering.NUM_SLOTS] = np.repeat(np.arange(MAX_PEOPLE), rendering.NUM_SLOTS)


def encode_runs(mask: NDArray[Any]) -> list[int]:
    """Return COCO's uncompressed run lengths of a mask (H, W): column by column, zeros first.

    Examples:
        >>> encode_runs(np.array([[0, 1], [0, 1]], bool))
        [2, 2]
        >>> encode_runs(np.array([[1, 0]], bool))
        [0, 1, 1]
    """
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs
