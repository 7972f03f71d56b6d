"""The vocabulary of the synthetic figures: landmarks, rest pose and ranges of joint angles.

Rest positions are in the body frame: unit = standing height, x towards the person's left, y down,
z out of the chest, origin between the hips.  Of a left-right pair only the left one is written.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.keypoints.sets import COCO

_TRUNK = {
    "collar": (0.0, -0.285, 0.055), "bib": (0.0, -0.225, 0.085), "chest": (0.0, -0.215, 0.0),
    "belly": (0.0, -0.040, 0.0), "placket": (0.0, -0.040, 0.085), "neck": (0.0, -0.310, 0.0),
    "pack_top": (0.0, -0.225, -0.085), "pack_end": (0.0, -0.095, -0.095),
    "left_shoulder": (0.140, -0.262, 0.0), "left_flank": (0.066, -0.030, 0.0),
}  # fmt: skip
_HEAD = {
    "forehead": (0.0, -0.452, 0.022), "chin": (0.0, -0.384, 0.026), "crown": (0.0, -0.474, -0.014),
    "nape": (0.0, -0.405, -0.034), "tress": (0.0, -0.290, -0.078), "nose": (0.0, -0.404, 0.108),
    "nose_bridge": (0.0, -0.430, 0.092), "left_lip": (0.020, -0.364, 0.086), "left_eye": (0.038, -0.440, 0.086),
    "left_pupil": (0.037, -0.439, 0.094), "left_ear": (0.096, -0.418, -0.004),
    "left_brow": (0.046, -0.520, 0.000), "cap": (0.0, -0.510, 0.050), "brim": (0.0, -0.495, 0.135),
}  # fmt: skip
_PELVIS = {"pelvis": (0.0, 0.0, 0.0), "left_hip": (0.080, 0.020, 0.0)}
# What hangs on the joints is posed, not read from a table.
_LIMBS = (
    "left_elbow", "left_cuff", "left_wrist", "left_hand", "left_knee", "left_ankle", "left_heel", "left_toe", "hem",
)  # fmt: skip


def _mirror(table: dict[str, tuple[float, float, float]]) -> dict[str, tuple[float, float, float]]:
    """Return the table with the right partner of every left landmark."""
    right = {"right" + name[4:]: (-x, y, z) for name, (x, y, z) in table.items() if name.startswith("left")}
    return {**table, **right}


_REST_POSE = _mirror({**_TRUNK, **_HEAD, **_PELVIS, **dict.fromkeys(_LIMBS, (0.0, 0.0, 0.0))})
LANDMARKS = COCO.names + tuple(sorted(set(_REST_POSE) - set(COCO.names)))
LANDMARK_INDEX = {name: index for index, name in enumerate(LANDMARKS)}


def index_landmarks(*names: str) -> NDArray[Any]:
    """Return the places of ``names`` in ``LANDMARKS``; a leading ``*_`` stands for left, then right."""
    sided = [name.replace("*", side) for name in names for side in (("left", "right") if "*" in name else ("",))]
    return np.array([LANDMARK_INDEX[name] for name in sided])


REST_POSE = np.array([_REST_POSE.get(name, (0.0, 0.0, 0.0)) for name in LANDMARKS])  # (L, 3)
HEAD = index_landmarks(*_mirror(_HEAD))
UPPER_BODY = index_landmarks(*_mirror({**_TRUNK, **_HEAD}))
HEAD_PIVOT = np.array([0.0, -0.35, 0.0])

# Left and right of: the roots of the limbs; the joints (2 limbs, 3 bones, 2 sides) that end the
# bones of arm and leg; what is placed between joints.  Then the lengths of the bones.
LIMB_ROOTS = index_landmarks("*_shoulder", "*_hip").reshape(2, 2)
LIMB_JOINTS = index_landmarks("*_elbow", "*_wrist", "*_hand", "*_knee", "*_ankle", "*_toe").reshape(2, 3, 2)
CUFFS, HEELS, HEM = index_landmarks("*_cuff"), index_landmarks("*_heel"), LANDMARK_INDEX["hem"]
LIMB_LENGTHS = np.array([(0.155, 0.145, 0.045), (0.225, 0.215, 0.075)])

# Ranges, in radians, of: flexion forward, abduction sideways, bend of elbow or knee, and how far
# the lower half is abducted more than the upper.  Arms are chosen one by one, legs in pairs.
ARM_POSES = np.array([
    [(-0.35, 0.45), (0.12, 0.45), (0.05, 0.50), (-0.15, 0.15)],  # hanging
    [(-0.30, 0.30), (0.20, 0.55), (0.70, 1.70), (-0.50, 0.10)],  # bent
    [(-0.40, 0.00), (0.65, 0.95), (0.15, 0.50), (-1.70, -1.30)],  # hand on hip
    [(0.70, 1.50), (0.00, 0.50), (0.00, 0.90), (-0.30, 0.30)],  # reaching forward
    [(-0.20, 0.30), (1.20, 1.80), (0.00, 0.40), (-0.30, 0.50)],  # stretched sideways
    [(-0.20, 0.30), (1.20, 1.70), (0.00, 0.40), (0.90, 1.70)],  # waving
    [(-0.10, 0.30), (2.20, 2.90), (0.00, 0.40), (-0.30, 0.30)],  # raised
])  # fmt: skip
ARM_SHARES = np.cumsum([0.34, 0.17, 0.10, 0.11, 0.09, 0.10, 0.09])

_STANDING = [(-0.08, 0.12), (0.02, 0.20), (0.00, 0.15), (-0.10, 0.00)]
_STEPPING = [(0.20, 0.50), (0.00, 0.10), (0.00, 0.25), (-0.10, 0.00)]
_TRAILING = [(-0.45, -0.15), (0.00, 0.10), (0.10, 0.50), (-0.10, 0.00)]
_LEAPING = [(0.70, 1.20), (0.00, 0.12), (0.60, 1.30), (-0.10, 0.00)]
_PUSHING = [(-0.55, -0.20), (0.00, 0.12), (0.60, 1.40), (-0.10, 0.00)]
_SITTING = [(1.10, 1.45), (0.10, 0.40), (1.10, 1.60), (-0.40, 0.00)]
_SQUATTING = [(0.60, 1.10), (0.50, 0.85), (1.20, 1.90), (-0.90, -0.40)]
_ASTRIDE = [(-0.10, 0.20), (0.30, 0.65), (0.00, 0.30), (-0.20, 0.10)]
_KICKING = [(0.60, 1.30), (0.00, 0.40), (0.00, 0.70), (-0.10, 0.00)]
LEG_POSES = np.array([
    [_STANDING, _STANDING], [_STEPPING, _TRAILING], [_LEAPING, _PUSHING], [_SITTING, _SITTING],
    [_SQUATTING, _SQUATTING], [_ASTRIDE, _ASTRIDE], [_KICKING, _STANDING],
])  # fmt: skip
LEG_SHARES = np.cumsum([0.36, 0.20, 0.11, 0.08, 0.06, 0.11, 0.08])
