"""NumPy twins of the tensor functions in ``ops``: OKS, IoU, NMS, matching and priors for rooms without torch.

Letters: N and M detections, G people, K keypoints, P priors, T thresholds.  Coordinates are pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

UNMATCHED = -1

_MIN_UNION = 1e-6  # square pixels, as in ops.geometry: two empty boxes have an IoU of 0
_MIN_WEIGHT = 1e-6  # lets a pose whose keypoint scores are all 0 have an average
_AREA_MARGIN = np.spacing(1)  # as the COCO tools add to every area, so that one of 0 can divide


def place_priors(shapes_hw: Sequence[tuple[int, int]], strides: Sequence[int]) -> tuple[Floats, Floats]:
    """Return the priors of feature maps, level by level and row by row, as ``ops.geometry.make_priors`` does.

    Args:
        shapes_hw: Height and width of each feature map.
        strides: Pixels between two cells of each feature map.

    Returns:
        Centers (P, 2) and strides (P,), float32.

    Examples:
        >>> place_priors([(1, 2)], [16])[0].tolist()
        [[7.5, 7.5], [23.5, 7.5]]
    """
    centers, repeated = [], []
    for (height, width), stride in zip(shapes_hw, strides):
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        centers.append(np.stack([x, y], axis=-1).reshape(-1, 2) * stride + (stride - 1) / 2)
        repeated.append(np.full(width * height, stride, np.float32))
    return np.concatenate(centers).astype(np.float32), np.concatenate(repeated)


def decode_box_deltas(deltas: Floats, centers: Floats, strides: Floats) -> Floats:
    """Turn (P, 4) center offsets and log sizes, both in strides, into corners, as ``ops.geometry.decode_boxes`` does.

    Args:
        deltas: (P, 4) dx, dy, log w, log h.
        centers: (P, 2) centers of the priors.
        strides: (P,) strides of the priors.
    """
    middles = deltas[:, :2] * strides[:, None] + centers
    halves = np.exp(deltas[:, 2:]) * strides[:, None] / 2
    return np.concatenate([middles - halves, middles + halves], axis=-1)


def pairwise_iou(boxes_xyxy: Floats, others_xyxy: Floats) -> Floats:
    """Return the intersection over union (N, M) of all pairs of boxes, as ``ops.geometry.compute_iou`` does."""
    shared = _pairwise_intersection(boxes_xyxy, others_xyxy)
    union = _box_area(boxes_xyxy)[:, None] + _box_area(others_xyxy) - shared
    iou: Floats = shared / np.maximum(union, _MIN_UNION)
    return iou


def pairwise_ioa(boxes_xyxy: Floats, others_xyxy: Floats) -> Floats:
    """Return the share (N, M) of each of the M other boxes that lies within each of the N boxes.

    Examples:
        >>> pairwise_ioa(np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 15, 10], [2, 2, 4, 4]])).tolist()
        [[0.5, 1.0]]
    """
    shared = _pairwise_intersection(boxes_xyxy, others_xyxy)
    share: Floats = shared / np.maximum(_box_area(others_xyxy), _MIN_UNION)
    return share


def _pairwise_intersection(boxes_xyxy: Floats, others_xyxy: Floats) -> Floats:
    low = np.maximum(boxes_xyxy[:, None, :2], others_xyxy[None, :, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], others_xyxy[None, :, 2:])
    intersection: Floats = np.maximum(high - low, 0).prod(axis=-1)
    return intersection


def _box_area(boxes_xyxy: Floats) -> Floats:
    area: Floats = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=-1)
    return area


def box_nms(boxes_xyxy: Floats, scores: Floats, iou_threshold: float) -> NDArray[np.intp]:
    """Keep each box that no better kept box overlaps by more than the threshold, as ``ops.nms`` does.

    Args:
        boxes_xyxy: (N, 4).
        scores: (N,).
        iou_threshold: 0..1; at 1 every box is kept.

    Returns:
        (M,) indices of the kept boxes, best first, ties in the order given.

    Examples:
        >>> boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]])
        >>> box_nms(boxes, np.array([0.5, 0.9, 0.7]), 0.65).tolist()
        [1, 2]
    """
    order = np.argsort(-scores, kind="stable")
    if iou_threshold >= 1 or len(order) < 2:
        return order
    ranked = boxes_xyxy[order]
    kept: NDArray[np.intp] = order[greedy_nms(pairwise_iou(ranked, ranked) > iou_threshold)]
    return kept


def greedy_nms(is_duplicate: Bools) -> NDArray[np.intp]:
    """Keep each detection that does not duplicate a better kept one.

    The greedy choice is the only fixed point of that rule.  Repeating the rule reaches it in as many rounds
    as the longest chain of duplicates has members, which is short, instead of one round per detection.

    Args:
        is_duplicate: (N, N) whether the detection of the column repeats that of the row; both best first.

    Returns:
        (M,) indices of the kept detections, rising.

    Examples:
        >>> greedy_nms(np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], bool)).tolist()
        [0, 2]
    """
    by_better = np.triu(is_duplicate, 1)
    is_kept = np.ones(len(is_duplicate), bool)
    while True:
        updated = ~(by_better & is_kept[:, None]).any(axis=0)
        if (updated == is_kept).all():
            return np.flatnonzero(is_kept)
        is_kept = updated


def keypoint_similarity(offsets: Floats, areas: Floats, sigmas: Floats, slack: Floats | float = 0.0) -> Floats:
    """Return exp(-d^2 / (2 area ((2 sigma)^2 + slack))) of each keypoint: the one formula of OKS in NumPy.

    A comparison with a threshold decides a match, so that the last digit can matter: operations are in the
    order of the COCO tools, and variances in the precision of the sigmas, single in MMPose's metainfo.

    Args:
        offsets: (..., K, 2) predicted minus true position.
        areas: (...) square pixels of the true person.
        sigmas: (K,) standard deviations relative to sqrt(area).
        slack: Variance to add where the true position itself is uncertain, in units of the area; broadcastable
            to (..., K).

    Returns:
        (..., K) in 0..1.
    """
    variances = (sigmas * 2) ** 2 + slack
    squared = offsets[..., 0] ** 2 + offsets[..., 1] ** 2
    similarity: Floats = np.exp(-(squared / variances / (areas + _AREA_MARGIN)[..., None] / 2))
    return similarity


def labeled_oks(
    keypoints: Floats,
    targets: Floats,
    is_labeled: Bools,
    areas: Floats,
    sigmas: Floats,
    boxes_xywh: Floats | None = None,
) -> Floats:
    """Return the OKS of N pairs of a detection and a labeled person, as ``ops.oks.compute_oks`` does.

    Args:
        keypoints: (N, K, 2) predicted.
        targets: (N, K, 2) true.
        is_labeled: (N, K).
        areas: (N,) square pixels of the true person.
        sigmas: (K,).
        boxes_xywh: (N, 4) boxes of the true people.  With them a person without labeled keypoints is compared by
            box, as the COCO tools do for crowds: keypoints within three times the box are hits.  Default:
            such a person has an OKS of 0, as in training.

    Returns:
        (N,) in 0..1.
    """
    offsets, counted = keypoints - targets, is_labeled
    if boxes_xywh is not None:
        is_unlabeled = ~is_labeled.any(1)
        points, boxes = keypoints[is_unlabeled], boxes_xywh[is_unlabeled, None]
        low, high = boxes[..., :2] - boxes[..., 2:], boxes[..., :2] + boxes[..., 2:] * 2  # three times the box
        offsets[is_unlabeled] = np.maximum(0, low - points) + np.maximum(0, points - high)
        counted = is_labeled | is_unlabeled[:, None]
    return _average_counted(keypoint_similarity(offsets, areas, sigmas), counted)


def _average_counted(similarities: Floats, counted: Bools) -> Floats:
    """Return the mean of the counted of each row; 0 for a row without any.

    Rows of equally many are summed together and without gaps: NumPy's order of summation depends on
    how many numbers there are, and would be another with zeros in between.
    """
    counts = counted.sum(1)
    means = np.zeros(len(counts))
    for count in np.unique(counts[counts > 0]):
        rows = counts == count
        means[rows] = similarities[rows][counted[rows]].reshape(-1, count).sum(1) / count
    return means


class ScoredPoses(Protocol):
    """N detected poses."""

    @property
    def keypoints(self) -> Floats:
        """(N, K, 2)."""

    @property
    def keypoint_scores(self) -> Floats:
        """(N, K) 0..1."""

    @property
    def labels(self) -> Ints:
        """(N,) class."""


def detection_oks(
    first: ScoredPoses, second: ScoredPoses, areas: Floats, sigmas: Floats, slack: Floats | float = 0.0
) -> Floats:
    """Return the OKS (N, M) of all pairs of detections, which have no labels: both scores weight a keypoint.

    Args:
        first: N poses.
        second: M poses.
        areas: (N, M) square pixels by which each pair is measured: neither of the two is the true person, so
            that the caller chooses, such as the larger or the mean.
        sigmas: (K,).
        slack: See ``keypoint_similarity``.

    Returns:
        (N, M) in 0..1; 0 for detections of different classes.
    """
    similarity = keypoint_similarity(first.keypoints[:, None] - second.keypoints, areas, sigmas, slack)
    weights = first.keypoint_scores[:, None] * second.keypoint_scores + _MIN_WEIGHT
    oks: Floats = (weights * similarity).sum(axis=-1) / weights.sum(axis=-1)
    return np.where(first.labels[:, None] == second.labels, oks, 0.0)


def match_closest(similarities: Floats, minimum: float) -> list[tuple[int, int]]:
    """Return pairs of a row and a column, the most similar first, each row and column used once.

    Args:
        similarities: (N, M).
        minimum: Least similarity of a pair, above 0.

    Examples:
        >>> match_closest(np.array([[0.9, 0.95], [0.2, 0.8]]), 0.5)
        [(0, 1)]
    """
    pairs: list[tuple[int, int]] = []
    remaining = similarities.copy()
    while remaining.size and remaining.max() >= minimum:
        row, column = (int(n) for n in np.unravel_index(remaining.argmax(), remaining.shape))
        pairs.append((row, column))
        remaining[row], remaining[:, column] = -1, -1
    return pairs


def match_by_score(
    oks: Floats, thresholds: Floats, is_ignored: Bools | None = None, is_crowd: Bools | None = None
) -> NDArray[np.intp]:
    """Match detections with people by the rules of the COCO tools, at each threshold by itself.

    Detections choose in turn, the best score first.  Each takes the most similar person that is free; people
    that do not count are taken only where no other is similar enough; of equals the last.

    Args:
        oks: (N, G) of detections, best score first, and people.
        thresholds: (T,) least OKS of a match.
        is_ignored: (G,) whether a person does not count. Default: all count.
        is_crowd: (G,) whether a person is a crowd, which stays free. Default: none.

    Returns:
        (T, N) index of the person of each detection, ``UNMATCHED`` without one.

    Examples:
        >>> match_by_score(np.array([[0.9, 0.6], [0.8, 0.7], [0.9, 0.9]]), np.array([0.5])).tolist()
        [[0, 1, -1]]
    """
    is_ignored = np.zeros(oks.shape[1], bool) if is_ignored is None else is_ignored
    is_crowd = np.zeros(oks.shape[1], bool) if is_crowd is None else is_crowd
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    is_free = np.ones((len(thresholds), oks.shape[1]), bool)
    partner = np.full((len(thresholds), len(oks)), UNMATCHED)
    for index, row in enumerate(oks):
        if not len(row) or row.max() < least.min():
            continue
        is_possible = (row >= least) & is_free
        counts = is_possible & ~is_ignored
        is_possible = np.where(counts.any(1, keepdims=True), counts, is_possible)
        last = oks.shape[1] - 1 - np.argmax(np.where(is_possible, row, -1.0)[:, ::-1], axis=1)
        found = np.flatnonzero(is_possible.any(1))
        partner[found, index] = last[found]
        is_free[found, last[found]] = is_crowd[last[found]]
    return partner
