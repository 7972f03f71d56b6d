"""Precision and recall: detections against people, matched by faster-coco-eval.

Why faster-coco-eval: it matches in C++ by the rules of the COCO tools for ties, crowds and ignored
people, and takes an OKS from outside.  Ours is xtcocotools' to the last bit, with single precision
sigmas as MMPose has them and for CrowdPose's areas, and it computes all pairs at once, where the
library's own loop over people is most of its time.  pycocotools takes one as well, and matches in
Python; hotcoco is the fastest, and has no such door.  docs/evaluation.md compares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster

from rtmo_plugin.evaluation.pairs import MAX_DETECTIONS, choose_best, compare_groups
from rtmo_plugin.evaluation.records import Comparison, Curves, Detections, GroundTruth

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_THRESHOLDS = np.linspace(0.0, 1.0, 101)
AREA_RANGES = {"all": (0.0, 1e10), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}  # in square pixels


class Matcher:
    """Detections and people of a data set, made ready to be matched on any of its images.

    Args:
        comparison: People, detections, and the sigmas of the keypoints.
    """

    def __init__(self, comparison: Comparison) -> None:
        truth, detections = comparison.truth, comparison.detections
        order, group = choose_best(detections, len(truth.category_ids))
        self._num_images, self._num_categories = len(truth.image_ids), len(truth.category_ids)
        oks = compare_groups(truth, detections.keypoints[order], group, comparison.sigmas)
        self._oks = {name: values.tolist() for name, values in oks.items()}
        self._truth, self._found = _describe_people(truth), _describe_detections(detections, order)

    def match(
        self, images: Iterable[int] | None = None, areas: Mapping[str, tuple[float, float]] = AREA_RANGES
    ) -> Curves:
        """Match the detections with the people.

        Args:
            images: Indices of the images; None for all.
            areas: Ranges of area in square pixels, by name.

        Returns:
            Precision (T, R, C, A) and recall (T, C, A) at ``OKS_THRESHOLDS``, ``RECALL_THRESHOLDS``
            and ``areas``.
        """
        chosen = range(self._num_images) if images is None else list(images)
        if not len(chosen):
            shape = (len(OKS_THRESHOLDS), len(RECALL_THRESHOLDS), self._num_categories, len(areas))
            return Curves(-np.ones(shape), -np.ones((shape[0], *shape[2:])))
        evaluator = _Evaluator(self._index(self._truth), self._index(self._found), self._oks, areas)
        evaluator.params.imgIds, evaluator.params.catIds = list(chosen), list(range(self._num_categories))
        evaluator.evaluate()
        evaluator.accumulate()
        return Curves(evaluator.eval["precision"][..., 0], evaluator.eval["recall"][..., 0])

    def _index(self, annotations: list[dict[str, float]]) -> COCO:
        images = [{"id": index} for index in range(self._num_images)]
        categories = [{"id": index} for index in range(self._num_categories)]
        return COCO({"images": images, "categories": categories, "annotations": annotations})


class _Evaluator(COCOeval_faster):
    """The library's evaluator with an OKS that is already there."""

    def __init__(
        self,
        truth: COCO,
        found: COCO,
        oks: Mapping[tuple[int, int], list[list[float]]],
        areas: Mapping[str, tuple[float, float]],
    ) -> None:
        super().__init__(truth, found, iouType="keypoints", print_function=_keep_quiet)
        self._oks = oks
        self.params.iouThrs, self.params.recThrs = OKS_THRESHOLDS, RECALL_THRESHOLDS
        self.params.areaRng, self.params.areaRngLbl = [list(each) for each in areas.values()], list(areas)
        self.params.maxDets = [MAX_DETECTIONS]

    def computeOks(self, imgId: int, catId: int) -> list[list[float]]:  # noqa: N802, N803  (the library's names)
        """Return the OKS of the detections, best first, with each person of an image."""
        return self._oks[imgId, catId]


def _keep_quiet(*_: object) -> None:
    """Print nothing: the caller has a table of its own."""


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
