"""Precision and recall: detections against people, matched by faster-coco-eval.

Why faster-coco-eval: it matches in C++ by the rules of the COCO tools for ties, crowds and ignored
people, and takes an OKS from outside.  Ours is xtcocotools' to the last bit, with single precision
sigmas as MMPose has them and for CrowdPose's areas, and it computes all pairs at once, where the
library's own loop over people is most of its time.  pycocotools takes one as well, and matches in
Python; hotcoco is the fastest, and has no such door.  docs/evaluation.md compares them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster

from rtmo_plugin.evaluation.records import Curves, Detections, GroundTruth
from rtmo_plugin.evaluation.similarity import compute_oks

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_THRESHOLDS = np.linspace(0.0, 1.0, 101)
AREA_RANGES = {"all": (0.0, 1e10), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}  # in square pixels
MAX_DETECTIONS = 20  # an image and category, the best ones


class Matcher:
    """Detections and people of a data set, made ready to be matched on any of its images.

    Args:
        truth: The people.
        detections: What was found.
        sigmas: (K,) of the keypoints.
    """

    def __init__(self, truth: GroundTruth, detections: Detections, sigmas: np.ndarray) -> None:
        order, group = _choose_best(detections, len(truth.category_ids))
        self._num_images, self._num_categories = len(truth.image_ids), len(truth.category_ids)
        self._oks = _group_oks(truth, detections.keypoints[order], group, sigmas)
        self._truth, self._found = _describe_people(truth), _describe_detections(detections, order)

    def match(self, images: Iterable[int] | None = None) -> Curves:
        """Match the detections with the people.

        Args:
            images: Which images, as indices; None for all.

        Returns:
            Precision (T, R, C, A) and recall (T, C, A) at ``OKS_THRESHOLDS``, ``RECALL_THRESHOLDS``
            and ``AREA_RANGES``.
        """
        chosen = range(self._num_images) if images is None else list(images)
        if not len(chosen):
            shape = (len(OKS_THRESHOLDS), len(RECALL_THRESHOLDS), self._num_categories, len(AREA_RANGES))
            return Curves(-np.ones(shape), -np.ones((shape[0], *shape[2:])))
        evaluator = _Evaluator(self._index(self._truth), self._index(self._found), self._oks)
        evaluator.params.imgIds, evaluator.params.catIds = list(chosen), list(range(self._num_categories))
        evaluator.evaluate()
        evaluator.accumulate()
        return Curves(evaluator.eval["precision"][..., 0], evaluator.eval["recall"][..., 0])

    def _index(self, annotations: list[dict[str, float]]) -> COCO:
        images = [{"id": index} for index in range(self._num_images)]
        categories = [{"id": index} for index in range(self._num_categories)]
        return COCO({"images": images, "categories": categories, "annotations": annotations})


class _Evaluator(COCOeval_faster):  # type: ignore[misc]
    """The library's evaluator with an OKS that is already there."""

    def __init__(self, truth: COCO, found: COCO, oks: dict[tuple[int, int], list[list[float]]]) -> None:
        super().__init__(truth, found, iouType="keypoints", print_function=_keep_quiet)
        self._oks = oks
        self.params.iouThrs, self.params.recThrs = OKS_THRESHOLDS, RECALL_THRESHOLDS
        self.params.areaRng, self.params.areaRngLbl = [list(each) for each in AREA_RANGES.values()], list(AREA_RANGES)
        self.params.maxDets = [MAX_DETECTIONS]

    def computeOks(self, imgId: int, catId: int) -> list[list[float]]:  # noqa: N802, N803  (the library's names)
        """Return the OKS of the detections, best first, with each person of an image."""
        return self._oks[imgId, catId]


def _keep_quiet(*_: object) -> None:
    """Print nothing: the caller has a table of its own."""


def _choose_best(detections: Detections, num_categories: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which detections count, best first in each image and category, and these two as one number."""
    group = detections.image * num_categories + detections.category
    order = np.lexsort((-detections.scores, group))  # stable: of equal scores the first comes first
    group = group[order]
    is_first = np.diff(group, prepend=-1) != 0
    starts = np.flatnonzero(is_first)
    rank = np.arange(len(group)) - starts[np.cumsum(is_first) - 1] if len(group) else np.empty(0, int)
    return order[rank < MAX_DETECTIONS], group[rank < MAX_DETECTIONS]


def _group_oks(
    truth: GroundTruth, points: np.ndarray, group: np.ndarray, sigmas: np.ndarray
) -> dict[tuple[int, int], list[list[float]]]:
    """Return the OKS of detections (rows, sorted by ``group``) and people of each image and category with both."""
    num_categories = len(truth.category_ids)
    people_group = truth.image * num_categories + truth.category
    people = np.argsort(people_group, kind="stable")
    groups, starts, num_people = np.unique(people_group[people], return_index=True, return_counts=True)
    place = np.minimum(np.searchsorted(groups, group), max(len(groups) - 1, 0))
    is_paired = groups[place] == group if len(groups) else np.zeros(len(group), bool)
    rows, place = np.flatnonzero(is_paired), place[is_paired]
    widths = num_people[place]
    ends = np.cumsum(widths)
    within = np.arange(widths.sum()) - np.repeat(ends - widths, widths)
    partners = people[np.repeat(starts[place], widths) + within]
    oks = compute_oks(points[np.repeat(rows, widths)], truth, partners, sigmas)
    firsts = np.flatnonzero(np.diff(place, prepend=-1))
    blocks = np.split(oks, (ends - widths)[firsts[1:]]) if len(firsts) else []
    names = [divmod(int(each), num_categories) for each in groups[place[firsts]]]
    return {name: block.reshape(-1, width).tolist() for name, block, width in zip(names, blocks, widths[firsts])}


def _describe_people(truth: GroundTruth) -> list[dict[str, float]]:
    """Return the people as the library wants them; ids begin at 1, because 0 stands for unmatched."""
    columns = (truth.image, truth.category, truth.areas, truth.is_crowd.astype(int), (~truth.is_ignored).astype(int))
    names = ("image_id", "category_id", "area", "iscrowd", "num_keypoints", "id")
    rows = zip(*(column.tolist() for column in columns), range(1, len(truth.image) + 1))
    return [dict(zip(names, row)) for row in rows]


def _describe_detections(detections: Detections, order: np.ndarray) -> list[dict[str, float]]:
    """Return the detections as the library wants them."""
    columns = (detections.image, detections.category, detections.scores, detections.areas)
    names = ("image_id", "category_id", "score", "area", "id")
    rows = zip(*(column[order].tolist() for column in columns), range(1, len(order) + 1))
    return [dict(zip(names, row)) for row in rows]
