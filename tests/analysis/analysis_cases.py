"""People on a meadow, and a model of them whose errors are known, for the tests of the analysis."""

import dataclasses

import numpy as np

from rtmo_plugin.analysis.measures.study import study
from rtmo_plugin.evaluation.records import Comparison, DatasetDetections, GroundTruth
from rtmo_plugin.keypoints.sets import COCO

SIGMAS = np.array(COCO.sigmas)
SIZE = 100.0  # square root of the area of everybody
# Everybody stands alike, facing the camera: x and y of COCO's keypoints in a box of one by two.
STANDING = np.array([
    (0.50, 0.12), (0.54, 0.08), (0.46, 0.08), (0.60, 0.10), (0.40, 0.10), (0.72, 0.36), (0.28, 0.36), (0.88, 0.70),
    (0.12, 0.70), (0.96, 1.00), (0.04, 1.00), (0.64, 1.00), (0.36, 1.00), (0.66, 1.45), (0.34, 1.45),
    (0.68, 1.90), (0.32, 1.90),
])  # fmt: skip


def make_people(num_images=30, num_people=4, spacing=400.0):
    """Return people of the same size side by side, ``spacing`` px from each other."""
    image = np.repeat(np.arange(num_images), num_people)
    corners = np.stack([np.tile(np.arange(num_people) * spacing, num_images), np.full(len(image), 50.0)], 1)
    points = corners[:, None] + STANDING * SIZE
    keypoints = np.concatenate([points, np.full((*points.shape[:2], 1), 2.0)], -1)
    zeros = np.zeros(len(image), int)
    return GroundTruth(
        image_ids=tuple(range(1, num_images + 1)),
        category_ids=(1,),
        image=image,
        category=zeros,
        keypoints=keypoints,
        boxes_xywh=np.concatenate([corners, np.full((len(image), 2), SIZE) * (1, 2)], 1),
        areas=np.full(len(image), SIZE**2),
        is_crowd=zeros > 0,
        is_ignored=zeros > 0,
    )


def answer(truth, people=None, scores=None):
    """Return perfect detections of some people (all for None), with falling scores."""
    people = np.arange(len(truth.image)) if people is None else np.asarray(people, int)
    return DatasetDetections(
        image=truth.image[people],
        category=truth.category[people],
        keypoints=truth.keypoints[people, :, :2].copy(),
        keypoint_scores=np.full((len(people), truth.keypoints.shape[1]), 0.9),
        scores=np.linspace(0.95, 0.6, len(people)) if scores is None else np.asarray(scores, float),
        areas=truth.areas[people],
    )


def compare_with(truth, detections):
    """Return the comparison of people with detections."""
    return Comparison(truth, detections, SIGMAS)


def exchange_sides(points):
    """Return poses (N, K, 2) with left and right exchanged."""
    order = np.arange(len(SIGMAS))
    for left, right in COCO.flip_pairs:
        order[[left, right]] = right, left
    return points[:, order]


def shake(points, pixels, random):
    """Return poses (N, K, 2) with every keypoint ``pixels`` away from its place, in any direction."""
    angles = random.uniform(0, 2 * np.pi, points.shape[:2])
    return points + pixels * np.stack([np.cos(angles), np.sin(angles)], -1)


def inject(inverted=0.0, shaken=0.0, dropped=0.0):
    """Return people, and matches in which some shares have exchanged sides, 5 px of jitter, or are dropped."""
    truth, random = make_people(50), np.random.default_rng(0)
    kept = np.flatnonzero(np.arange(200) % 10 != 0) if dropped else np.arange(200)
    detections = answer(truth, kept)
    place = np.arange(len(kept)) % 6
    is_shaken, is_inverted = (place < 3) & (shaken > 0), (place == 4) & (inverted > 0)
    detections.keypoints[is_shaken] = shake(detections.keypoints[is_shaken], 5.0, random)
    detections.keypoints[is_inverted] = exchange_sides(detections.keypoints[is_inverted])
    comparison = compare_with(truth, detections)
    oks = study(comparison, COCO.flip_pairs).oks  # a model whose scores know
    return compare_with(truth, dataclasses.replace(detections, scores=oks * 0.9 + 0.05))
