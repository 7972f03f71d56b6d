"""Articulated bodies in 3-D: who stands how, and seen from where.

Points start in the body frame (see ``poses``) and end in the *view frame*: x right, y down, z
towards the camera, still in units of the standing height.  Between the two lie yaw (the turn of
the body), pitch (the height of the camera) and roll.

Left and right can be told apart only as on real people, by telling front from back.  No color
marks a side: a horizontal flip swaps the names, so such a mark would contradict itself.

Shape letters: F figures, L landmarks, S = 2 sides (left, right).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.data.synthetic import poses

_SIDE_SIGNS = np.array([1.0, -1.0])
_BEND_SIGNS = np.array([[1.0], [-1.0]])  # elbows bend forward, knees backward
_LAST_BONE_FLEXION = np.array([[0.0], [1.3]])  # hands prolong the forearm, feet stand off the shin
# Ranges of rotation about x, y, z in radians: trunk on hips, head on neck, camera.
_TURN_RANGES = np.array([
    [(-0.08, 0.22), (-0.12, 0.12), (-0.12, 0.12)],
    [(-0.15, 0.25), (-0.60, 0.60), (-0.18, 0.18)],
    [(-0.30, 0.05), (0.00, 0.00), (-0.14, 0.14)],
])  # fmt: skip
# Turn of the body about y: towards the camera, in profile, away from it; and the share of the last
# among those who do not face the camera.
_BEHIND_SHARE = 0.20 / 0.38
_YAW_RANGES = np.array([(0.0, 0.85), (0.85, 2.2), (2.3, np.pi)])
_HEAD_SIZE_RANGE = np.array([0.94, 1.12])


def sample_between(rng: np.random.Generator, ranges: NDArray[Any]) -> NDArray[Any]:
    """Draw uniformly between ``ranges[..., 0]`` and ``ranges[..., 1]``, shape (..., 2) to (...)."""
    low, high = ranges[..., 0], ranges[..., 1]
    values: NDArray[Any] = low + rng.random(low.shape) * (high - low)
    return values


def sample_figures(rng: np.random.Generator, num_figures: int, turned: float, motion: float) -> NDArray[Any]:
    """Pose ``num_figures`` people and look at each from somewhere, a share ``turned`` from the side or behind.

    ``motion`` scales the angles of trunk, head and limbs: at 0 all people stand straight.

    Returns:
        Landmarks of shape (F, L, 3), view frame, origin between the hips; the first 17 are the
        COCO keypoints in their order.
    """
    lean, nod, camera, yaw = _sample_turns(rng, num_figures, turned, motion)
    head_sizes = sample_between(rng, np.tile(_HEAD_SIZE_RANGE, (num_figures, 1)))
    points = np.repeat(poses.REST_POSE[None], num_figures, axis=0)
    heads = (points[:, poses.HEAD] - poses.HEAD_PIVOT) * head_sizes[:, None, None]
    points[:, poses.HEAD] = heads @ nod.transpose(0, 2, 1) + poses.HEAD_PIVOT
    points[:, poses.UPPER_BODY] = points[:, poses.UPPER_BODY] @ lean.transpose(0, 2, 1)
    bones = _aim_bones(rng, num_figures, motion) * poses.LIMB_LENGTHS[..., None, None]
    points[:, poses.LIMB_JOINTS] = points[:, poses.LIMB_ROOTS][:, :, None] + np.cumsum(bones, axis=2)
    (shoulders, _), ((elbows, _, _), (knees, ankles, toes)) = (
        np.moveaxis(points[:, poses.LIMB_ROOTS], 0, 1),
        np.moveaxis(points[:, poses.LIMB_JOINTS], 0, 2),
    )
    points[:, poses.CUFFS] = shoulders + 0.62 * (elbows - shoulders)
    points[:, poses.HEM] = 0.6 * knees.mean(axis=1)
    points[:, poses.HEELS] = ankles - 0.30 * (toes - ankles)
    seen: NDArray[Any] = points @ (camera @ yaw).transpose(0, 2, 1)
    return seen


def _sample_turns(rng: np.random.Generator, num_figures: int, turned: float, motion: float) -> NDArray[Any]:
    """Return rotations (4, F, 3, 3): trunk on hips, head on neck, camera, body about y."""
    angles = np.zeros((4, num_figures, 3))
    angles[:3] = sample_between(rng, np.repeat(_TURN_RANGES[:, None], num_figures, axis=1))
    angles[:2] *= motion
    choice = np.searchsorted([1 - turned, 1 - turned * _BEHIND_SHARE], rng.random(num_figures))
    angles[3, :, 1] = sample_between(rng, _YAW_RANGES[choice]) * np.where(rng.random(num_figures) < 0.5, -1.0, 1.0)
    return _rotate(angles)


def _aim_bones(rng: np.random.Generator, num_figures: int, motion: float) -> NDArray[Any]:
    """Return the directions of all bones, (F, 2 limbs, 3 bones, S, 3)."""
    arm_choice = np.searchsorted(poses.ARM_SHARES[:-1], rng.random((num_figures, 2)))
    leg_choice = np.searchsorted(poses.LEG_SHARES[:-1], rng.random(num_figures))
    is_swapped = rng.random((num_figures, 1, 1, 1)) < 0.5
    legs = np.where(is_swapped, poses.LEG_POSES[leg_choice, ::-1], poses.LEG_POSES[leg_choice])
    ranges = np.stack([poses.ARM_POSES[arm_choice], legs], axis=1)  # (F, 2 limbs, S, 4 angles, 2)
    flexion, abduction, bend, swing = np.moveaxis(sample_between(rng, ranges) * motion, -1, 0)
    bend, swing = bend * _BEND_SIGNS, abduction + swing
    toes_out = swing[:, 1] + 0.1 + 0.3 * rng.random((num_figures, 1))
    flexions = np.stack([flexion, flexion + bend, flexion + bend + _LAST_BONE_FLEXION], axis=2)
    abductions = np.stack([abduction, swing, np.stack([swing[:, 0], toes_out], axis=1)], axis=2)
    down = np.cos(abductions)  # a bone hangs down before it is moved
    return np.stack([_SIDE_SIGNS * np.sin(abductions), down * np.cos(flexions), down * np.sin(flexions)], axis=-1)


def _rotate(angles: NDArray[Any]) -> NDArray[Any]:
    """Return rotations about y, then x, then z by ``angles`` (..., 3 = x, y, z), shape (..., 3, 3)."""
    (sx, sy, sz), (cx, cy, cz) = np.moveaxis(np.sin(angles), -1, 0), np.moveaxis(np.cos(angles), -1, 0)
    rows = (
        (cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy),
        (sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy),
        (-cx * sy, sx, cx * cy),
    )
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))
