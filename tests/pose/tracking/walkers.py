"""People who walk through a picture: who they are is known, and what a detector would say of them.

Flat figures with swinging arms and legs cross a square at all speeds and sizes.  The detector's keypoints
are noisy, it misses some people, finds some who are not there, and sees nobody behind a nearer person or
behind a wall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.runtime.detections import Detections

SIZE_WH = np.array([1280.0, 720.0])
SIGMAS = np.array(COCO.sigmas)
_TURN = 0.97  # at 1 people turn at once
_SWING = np.zeros((17, 2))  # of elbows, wrists, knees and ankles, in heights
_SWING[[7, 8, 9, 10, 13, 14, 15, 16], 0] = [0.04, -0.04, 0.10, -0.10, -0.06, 0.06, -0.13, 0.13]
_STANDING = np.array([
    (0.00, -0.92), (0.02, -0.94), (-0.02, -0.94), (0.04, -0.93), (-0.04, -0.93), (0.11, -0.80), (-0.11, -0.80),
    (0.14, -0.62), (-0.14, -0.62), (0.15, -0.46), (-0.15, -0.46), (0.08, -0.50), (-0.08, -0.50),
    (0.08, -0.26), (-0.08, -0.26), (0.08, -0.03), (-0.08, -0.03),
])  # fmt: skip


@dataclass(frozen=True)
class Walkers:
    """W people for all times."""

    starts: np.ndarray  # (W, 2) of the feet, pixels
    velocities: np.ndarray  # (W, 2) pixels a second
    heights: np.ndarray  # (W,) pixels
    phases: np.ndarray  # (W,)

    @classmethod
    def sample(cls, rng, num_walkers, speed=(0.3, 1.2)):
        """Return people anywhere in the picture, with speeds in heights a second."""
        heights = rng.uniform(120, 260, num_walkers)
        starts = np.stack([rng.uniform(0, SIZE_WH[0], num_walkers), 380 + heights * 1.2], axis=-1)  # near is below
        directions = rng.choice([-1.0, 1.0], num_walkers)
        x = directions * rng.uniform(*speed, num_walkers) * heights
        return cls(starts, np.stack([x, 0.03 * x], axis=-1), heights, rng.uniform(0, 2 * np.pi, num_walkers))

    def locate(self, time):
        """Return the keypoints (W, 17, 2); who comes to one side turns round, within half a second or so."""
        feet = self.starts + self.velocities * time
        zigzag = np.arcsin(_TURN * np.sin(np.pi * (feet[:, 0] / SIZE_WH[0] - 0.5))) / np.arcsin(_TURN)
        feet[:, 0] = SIZE_WH[0] * (0.5 + 0.5 * zigzag)
        swing = np.sin(self.phases + 2 * np.pi * 0.9 * time)[:, None, None] * _SWING
        return feet[:, None] + (_STANDING + swing) * self.heights[:, None, None]


@dataclass(frozen=True)
class Detector:
    """What goes wrong between the people and what is found."""

    noise: float = 0.5  # of a keypoint, in COCO's sigmas
    missed: float = 0.03  # share of the people
    invented: float = 0.1  # people a frame who are not there
    wall: tuple[float, float] = (0.0, 0.0)  # from x to x, nobody is seen

    def look(self, rng, walkers, time):
        """Return the people found, best first, who they are (-1: nobody), and who could be seen."""
        truth = walkers.locate(time)
        is_visible = _find_visible(truth, walkers.heights) & ~_is_between(truth, self.wall)
        who = np.flatnonzero(is_visible & (rng.random(len(truth)) >= self.missed))
        sizes = walkers.heights[who] * 0.45
        found = truth[who] + rng.normal(size=truth[who].shape) * (self.noise * SIGMAS[:, None] * sizes[:, None, None])
        ghosts = rng.poisson(self.invented)
        nowhere = Walkers.sample(rng, ghosts).locate(rng.uniform(0, 100))
        keypoints = np.concatenate([found, nowhere])
        scores = np.concatenate([rng.uniform(0.35, 0.95, len(who)), rng.uniform(0.1, 0.6, ghosts)])
        order = np.argsort(-scores)
        names = np.concatenate([who, np.full(ghosts, -1)])[order]
        return make_people(keypoints[order], scores[order]), names, np.flatnonzero(is_visible)


def make_people(keypoints, scores):
    """Return people whose boxes lie around their keypoints."""
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=-1)
    return Detections(boxes, scores, keypoints, np.full(keypoints.shape[:2], 0.8), np.zeros(len(scores), np.int64))


def _find_visible(keypoints, heights):
    """Tell who is not hidden: more than 40 % of the keypoints lie outside of every larger person's box."""
    low, high = keypoints.min(axis=1), keypoints.max(axis=1)
    is_inside = ((keypoints[:, None] > low[:, None]) & (keypoints[:, None] < high[:, None])).all(axis=-1)
    is_nearer = heights > heights[:, None]
    is_covered = (is_inside & is_nearer[..., None]).any(axis=1)
    return is_covered.mean(axis=-1) < 0.6


def _is_between(keypoints, wall):
    middle = keypoints[..., 0].mean(axis=1)
    return (middle > wall[0]) & (middle < wall[1])


def compute_idf1(truth, found):
    """Return IDF1 of two lists, a frame each, of who could be seen, and of pairs of who was found as whom.

    Ristani et al., 2016: each true identity is matched with one of the tracker's, so that most people agree.
    """
    from scipy.optimize import linear_sum_assignment

    pairs = [(who, name) for frame in found for who, name in frame]
    people = sorted({who for who, _ in pairs if who >= 0})
    names = sorted({name for _, name in pairs})
    counts = np.zeros((len(people), len(names)))
    for who, name in pairs:
        if who >= 0:
            counts[people.index(who), names.index(name)] += 1
    agreed = counts[linear_sum_assignment(counts, maximize=True)].sum()
    return 2 * agreed / (sum(map(len, truth)) + len(pairs))
