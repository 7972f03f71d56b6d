"""The numbers of the table, from precision and recall.

Names, order and rounding as MMPose 1.3 with xtcocotools prints them; -1 where there are no people of
a kind, as in the COCO tools.
"""

from __future__ import annotations

import numpy as np

from rtmo_plugin.evaluation.oks_matching import AREA_RANGES, OKS_THRESHOLDS
from rtmo_plugin.evaluation.records import Curves

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


def _average(values: np.ndarray, oks: float | None = None, area: str = "all") -> float:
    """Return the mean of a (T, ..., A) array where there is something to be found."""
    if oks is not None:
        values = values[[int(np.argmin(np.abs(OKS_THRESHOLDS - oks)))]]
    chosen = values[..., _AREAS.index(area)]
    chosen = chosen[chosen > _NO_RESULT]
    return float(np.mean(chosen)) if len(chosen) else _NO_RESULT
