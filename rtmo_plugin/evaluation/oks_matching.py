"""Detections against people: OKS of all pairs, precision and recall, and the numbers of the table.

Why faster-coco-eval: it matches in C++ by the rules of the COCO tools for ties, crowds and ignored
people, and takes an OKS from outside.  Ours is xtcocotools' to the last bit, with single precision
sigmas as MMPose has them and for CrowdPose's areas, and it computes all pairs at once, where the
library's own loop over people is most of its time.  pycocotools takes one as well, and matches in
Python; hotcoco is the fastest, and has no such door.  docs/evaluation.md compares them.

Names, order and rounding of the table are those that MMPose 1.3 with xtcocotools prints; -1 where there are
no people of a kind, as in the COCO tools.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster
from numpy.typing import NDArray

from rtmo_plugin.evaluation.records import Comparison, Curves, DatasetDetections, GroundTruth
from rtmo_plugin.ops.arrays import labeled_oks

MAX_DETECTIONS = 20  # an image and category, the best ones
_NUM_PAIRS_AT_ONCE = 1 << 15  # bounds the memory: 35 MB for 133 keypoints


def choose_best(detections: DatasetDetections, num_categories: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return which detections count.

    Returns:
        Indices (D,) of the best of each image and category, best first, and these two as one number:
        ``image * num_categories + category`` (D,), which rises.
    """
    group = detections.image * num_categories + detections.category
    order = np.lexsort((-detections.scores, group))  # stable: of equal scores the first comes first
    group = group[order]
    is_first = np.diff(group, prepend=-1) != 0
    starts = np.flatnonzero(is_first)
    rank = np.arange(len(group)) - starts[np.cumsum(is_first) - 1] if len(group) else np.empty(0, int)
    return order[rank < MAX_DETECTIONS], group[rank < MAX_DETECTIONS]


def compare_groups(
    truth: GroundTruth, points: NDArray[Any], group: NDArray[Any], sigmas: NDArray[Any]
) -> dict[tuple[int, int], NDArray[Any]]:
    """Return the OKS of all detections and people that belong together.

    Args:
        truth: G people.
        points: (D, K, 2) keypoints of the detections.
        group: (D,) rising, as ``choose_best`` returns it.
        sigmas: (K,) of the keypoints.

    Returns:
        OKS (N, M) of each image and category that has both, detections in their order by people in
        theirs.
    """
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
    oks = compare_pairs(points[np.repeat(rows, widths)], truth, partners, sigmas)
    firsts = np.flatnonzero(np.diff(place, prepend=-1))
    blocks = np.split(oks, (ends - widths)[firsts[1:]]) if len(firsts) else []
    names = [divmod(int(each), num_categories) for each in groups[place[firsts]]]
    return {name: block.reshape(-1, width) for name, block, width in zip(names, blocks, widths[firsts])}


def compare_pairs(points: NDArray[Any], truth: GroundTruth, people: NDArray[Any], sigmas: NDArray[Any]) -> NDArray[Any]:
    """Return the OKS of pairs of a detection and a person, digit for digit as the COCO tools compute it.

    A person without labeled keypoints is compared by box: keypoints within three times its box are hits.

    Args:
        points: Keypoints (M, K, 2) of the detections, in pixels.
        truth: People of the data set.
        people: Index (M,) of the person that each detection is compared with.
        sigmas: Sigmas (K,) of the keypoints.

    Returns:
        OKS (M,) between 0 and 1.
    """
    parts = [np.empty(0)]
    for start in range(0, len(people), _NUM_PAIRS_AT_ONCE):
        chosen = people[start : start + _NUM_PAIRS_AT_ONCE]
        targets = truth.keypoints[chosen]
        parts.append(
            labeled_oks(
                points[start : start + _NUM_PAIRS_AT_ONCE],
                targets[..., :2],
                targets[..., 2] > 0,
                truth.areas[chosen],
                sigmas,
                truth.boxes_xywh[chosen],
            )
        )
    return np.concatenate(parts)


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
        self._truth = _list_rows(
            image_id=truth.image,
            category_id=truth.category,
            area=truth.areas,
            iscrowd=truth.is_crowd.astype(int),
            num_keypoints=(~truth.is_ignored).astype(int),
        )
        self._found = _list_rows(
            image_id=detections.image[order],
            category_id=detections.category[order],
            score=detections.scores[order],
            area=detections.areas[order],
        )

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
            return make_empty_curves(self._num_categories, len(areas))
        evaluator = _Evaluator(self._index(self._truth), self._index(self._found), self._oks, areas)
        evaluator.params.imgIds, evaluator.params.catIds = list(chosen), list(range(self._num_categories))
        evaluator.evaluate()
        evaluator.accumulate()
        return Curves(evaluator.eval["precision"][..., 0], evaluator.eval["recall"][..., 0])

    def _index(self, annotations: list[dict[str, float]]) -> COCO:
        images = [{"id": index} for index in range(self._num_images)]
        categories = [{"id": index} for index in range(self._num_categories)]
        return COCO({"images": images, "categories": categories, "annotations": annotations})


def make_empty_curves(num_categories: int = 1, num_areas: int = len(AREA_RANGES)) -> Curves:
    """Return the precision and recall where there are no people to find."""
    shape = (len(OKS_THRESHOLDS), len(RECALL_THRESHOLDS), num_categories, num_areas)
    return Curves(-np.ones(shape), -np.ones((shape[0], *shape[2:])))


class _Evaluator(COCOeval_faster):
    """The library's evaluator with an OKS that is already there."""

    def __init__(
        self,
        truth: COCO,
        found: COCO,
        oks: Mapping[tuple[int, int], list[list[float]]],
        areas: Mapping[str, tuple[float, float]],
    ) -> None:
        super().__init__(truth, found, iouType="keypoints", print_function=lambda *_: None)
        self._oks = oks
        self.params.iouThrs, self.params.recThrs = OKS_THRESHOLDS, RECALL_THRESHOLDS
        self.params.areaRng, self.params.areaRngLbl = [list(each) for each in areas.values()], list(areas)
        self.params.maxDets = [MAX_DETECTIONS]

    def computeOks(self, imgId: int, catId: int) -> list[list[float]]:  # noqa: N802, N803  (the library's names)
        """Return the OKS of the detections, best first, with each person of an image."""
        return self._oks[imgId, catId]


_AREAS = list(AREA_RANGES)
_NO_RESULT = -1.0


def summarize_coco(curves: Curves) -> dict[str, float]:
    """Return COCO's ten numbers: AP and AR, at OKS .5 and .75, of medium and of large people."""
    sizes = {"": "all", " (M)": "medium", " (L)": "large"}
    summary = {}
    for name, values in (("AP", curves.precision), ("AR", curves.recall)):
        summary[name] = _average(values)
        summary[f"{name} .5"], summary[f"{name} .75"] = _average(values, oks=0.5), _average(values, oks=0.75)
        summary.update({f"{name}{end}": _average(values, area=area) for end, area in sizes.items() if end})
    return summary


def summarize_crowdpose(curves: Curves, by_crowding: dict[str, Curves]) -> dict[str, float]:
    """Return CrowdPose's nine numbers: AP and AR, at OKS .5 and .75, and AP of easy, medium and hard images.

    The AP of each crowding is rounded to four digits, and a category without people there counts as
    -1 in its mean: both as xtcocotools does, so that the numbers are its.
    """
    summary = {name: value for name, value in summarize_coco(curves).items() if "(" not in name}
    easy_to_hard = {name: round(float(np.mean(each.precision[..., 0])), 4) for name, each in by_crowding.items()}
    return {**summary, **easy_to_hard}


def summarize_parts(curves: Mapping[str, Curves]) -> dict[str, float]:
    """Return AP and AR of parts of the people or of the keypoints, as ``AP of NAME`` and ``AR of NAME``."""
    return {
        f"{kind} of {name}": _average(values)
        for name, each in curves.items()
        for kind, values in (("AP", each.precision), ("AR", each.recall))
    }


def _average(values: NDArray[Any], oks: float | None = None, area: str = "all") -> float:
    """Return the mean of a (T, ..., A) array where there is something to be found."""
    if oks is not None:
        values = values[[int(np.argmin(np.abs(OKS_THRESHOLDS - oks)))]]
    chosen = values[..., _AREAS.index(area)]
    chosen = chosen[chosen > _NO_RESULT]
    return float(np.mean(chosen)) if len(chosen) else _NO_RESULT


def _list_rows(**columns: NDArray[Any]) -> list[dict[str, float]]:
    """Return the rows of a table as the library wants them; ids begin at 1, because 0 stands for unmatched."""
    rows = zip(*(column.tolist() for column in columns.values()))
    return [{**dict(zip(columns, row)), "id": number} for number, row in enumerate(rows, start=1)]
