"""The visible parts of a figure: tapered capsules between landmarks, in the order of their depth.

A capsule is the convex hull of two discs.  Several capsules may make up one *slot* (the torso has
three): a slot has one label in the label map, one color, and no outline inside.  Depths are flat
per capsule, as in a paper theatre: within head and trunk they are squeezed, so that a whole head
is either before or behind an arm.

Shape letters: F figures, L landmarks, A capsules of the table, V = 24 corners of a polygon.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.data.synthetic.poses import LANDMARK_INDEX

ROLES = ("skin", "hair", "shirt", "trousers", "shoes", "white", "dark", "lips", "accent")
OPTIONS = ("short_sleeves", "long_trousers", "skirt", "long_hair", "hat", "pack", "placket")


class Capsule(NamedTuple):
    """One row of the table; radii and ``bias`` (towards the camera) in units of standing height."""

    slot: str
    start: str
    end: str
    start_radius: float
    end_radius: float
    role: str
    anchor: str = "pelvis"
    depth_share: float = 1.0  # of the distance from the anchor, 0: as deep as the anchor
    bias: float = 0.0
    option: str = ""  # drawn only where this option is on
    role_if: tuple[str, str] = ("", "")  # (option, role when it is on)


def _list_limbs(side: str) -> list[Capsule]:
    """Return arm and leg of one side."""
    s = f"{side}_"
    bare_arm, leg = ("short_sleeves", "skin"), ("long_trousers", "trousers")
    return [
        Capsule(s + "thigh", s + "hip", s + "knee", 0.064, 0.050, "trousers", role_if=("skirt", "skin")),
        Capsule(s + "shin", s + "knee", s + "ankle", 0.046, 0.033, "skin", role_if=leg),
        Capsule(s + "foot", s + "heel", s + "toe", 0.030, 0.029, "shoes", bias=0.01),
        Capsule(s + "upper_arm", s + "shoulder", s + "elbow", 0.041, 0.035, "shirt", bias=0.08, role_if=bare_arm),
        Capsule(s + "sleeve", s + "shoulder", s + "cuff", 0.047, 0.045, "shirt", bias=0.082, option="short_sleeves"),
        Capsule(s + "forearm", s + "elbow", s + "wrist", 0.035, 0.027, "shirt", bias=0.081, role_if=bare_arm),
        Capsule(s + "hand", s + "wrist", s + "hand", 0.029, 0.027, "skin", bias=0.085),
    ]


def _list_trunk() -> list[Capsule]:
    """Return pelvis, torso, neck and what is worn on them."""
    chest = dict[str, Any](anchor="chest", depth_share=0.3, bias=0.03)
    return [
        Capsule("pelvis", "left_hip", "right_hip", 0.068, 0.068, "trousers"),
        Capsule("pelvis", "pelvis", "belly", 0.075, 0.075, "trousers"),
        Capsule("skirt", "pelvis", "hem", 0.085, 0.120, "trousers", bias=0.02, option="skirt"),
        Capsule("torso", "left_shoulder", "left_flank", 0.052, 0.062, "shirt", "chest", 0.0, 0.03),
        Capsule("torso", "right_shoulder", "right_flank", 0.052, 0.062, "shirt", "chest", 0.0, 0.03),
        Capsule("torso", "chest", "belly", 0.096, 0.084, "shirt", "chest", 0.0, 0.03),
        Capsule("neck", "neck", "chest", 0.038, 0.034, "skin", "chest", 0.0, 0.029),
        Capsule("neck", "collar", "bib", 0.034, 0.006, "skin", **chest),
        Capsule("placket", "bib", "placket", 0.014, 0.014, "accent", option="placket", **chest),
        Capsule("pack", "pack_top", "pack_end", 0.085, 0.080, "accent", option="pack", **chest),
    ]


def _list_head() -> list[Capsule]:
    """Return head, face and hair."""
    head = dict[str, Any](anchor="chin", depth_share=0.25)
    paired = [
        [
            Capsule(f"{side}_ear", f"{side}_ear", f"{side}_ear", 0.026, 0.026, "skin", **head),
            Capsule(f"{side}_eye", f"{side}_eye", f"{side}_eye", 0.020, 0.020, "white", **head),
            Capsule(f"{side}_pupil", f"{side}_pupil", f"{side}_pupil", 0.011, 0.011, "dark", **head),
        ]
        for side in ("left", "right")
    ]
    return [
        Capsule("face", "forehead", "chin", 0.086, 0.070, "skin", **head),
        Capsule("hair", "crown", "nape", 0.098, 0.088, "hair", **head),
        Capsule("hair", "nape", "tress", 0.070, 0.050, "hair", **head, option="long_hair"),
        Capsule("nose", "nose_bridge", "nose", 0.009, 0.016, "skin", **head),
        Capsule("mouth", "left_lip", "right_lip", 0.009, 0.009, "lips", **head),
        Capsule("hat", "left_brow", "right_brow", 0.055, 0.055, "accent", **head, bias=0.012, option="hat"),
        Capsule("hat", "cap", "brim", 0.040, 0.034, "accent", **head, bias=0.012, option="hat"),
        *paired[0],
        *paired[1],
    ]


CAPSULES = (*_list_trunk(), *_list_limbs("left"), *_list_limbs("right"), *_list_head())
SLOTS = tuple(dict.fromkeys(capsule.slot for capsule in CAPSULES))
CAPSULE_SLOTS = np.array([SLOTS.index(capsule.slot) for capsule in CAPSULES])  # (A,)
_STARTS, _ENDS, _ANCHORS = (
    np.array([LANDMARK_INDEX[getattr(capsule, field)] for capsule in CAPSULES]) for field in ("start", "end", "anchor")
)
_START_RADII, _END_RADII, _DEPTH_SHARES, _BIASES = (
    np.array([getattr(capsule, field) for capsule in CAPSULES])
    for field in ("start_radius", "end_radius", "depth_share", "bias")
)
_ARC = np.linspace(0.0, 1.0, 12)


def outline_capsules(landmarks: NDArray[Any], heights: NDArray[Any]) -> NDArray[Any]:
    """Return the polygons of all capsules.

    Args:
        landmarks: (F, L, 3), pixels.
        heights: (F,) standing heights in pixels, the unit of the radii.

    Returns:
        Convex polygons (F, A, V, 2), pixels.
    """
    start, end = landmarks[:, _STARTS, :2], landmarks[:, _ENDS, :2]
    start_radius, end_radius = heights[:, None] * _START_RADII, heights[:, None] * _END_RADII
    axis = end - start
    length = np.hypot(axis[..., 0], axis[..., 1])
    # Where one disc lies inside the other the hull is the larger disc alone.
    is_start_only, is_end_only = start_radius - end_radius >= length, end_radius - start_radius > length
    start, start_radius = _replace(is_end_only, (start, start_radius), (end, end_radius))
    end, end_radius = _replace(is_start_only, (end, end_radius), (start, start_radius))
    heading = np.arctan2(axis[..., 1], axis[..., 0])[..., None]
    taper = np.clip((start_radius - end_radius) / np.maximum(length, 1e-9), -1.0, 1.0)
    contact = np.arccos(taper)[..., None]  # of the common tangents, measured from the axis
    start_arc = heading + contact + _ARC * (2 * np.pi - 2 * contact)
    end_arc = heading - contact + _ARC * (2 * contact)
    return np.concatenate([_trace(start, start_radius, start_arc), _trace(end, end_radius, end_arc)], axis=-2)


def measure_depths(landmarks: NDArray[Any], heights: NDArray[Any]) -> NDArray[Any]:
    """Return the depth of every capsule, (F, A), in standing heights: larger is nearer."""
    depth = landmarks[..., 2] / heights[:, None]
    anchor, middle = depth[:, _ANCHORS], (depth[:, _STARTS] + depth[:, _ENDS]) / 2
    depths: NDArray[Any] = anchor + _DEPTH_SHARES * (middle - anchor) + _BIASES
    return depths


def _replace(
    mask: NDArray[Any], disc: tuple[NDArray[Any], NDArray[Any]], other: tuple[NDArray[Any], NDArray[Any]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return ``other``'s centers and radii where ``mask``, else ``disc``'s."""
    return np.where(mask[..., None], other[0], disc[0]), np.where(mask, other[1], disc[1])


def _trace(center: NDArray[Any], radius: NDArray[Any], angle: NDArray[Any]) -> NDArray[Any]:
    """Return the points (..., V/2, 2) of a circle at the given angles (..., V/2)."""
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    points: NDArray[Any] = center[..., None, :] + radius[..., None, None] * unit
    return points


@cache
def choose_roles(options: tuple[bool, ...]) -> NDArray[Any]:
    """Return the role of every capsule, (A,) indices of ``ROLES``, for one figure's options."""
    is_on = dict(zip(OPTIONS, options, strict=True))
    names = [c.role_if[1] if is_on.get(c.role_if[0], False) else c.role for c in CAPSULES]
    return np.array([ROLES.index(name) for name in names])


@cache
def choose_capsules(options: tuple[bool, ...]) -> NDArray[Any]:
    """Return which capsules one figure with these options has, (A,) booleans."""
    is_on = dict(zip(OPTIONS, options, strict=True))
    return np.array([is_on.get(c.option, True) for c in CAPSULES])
