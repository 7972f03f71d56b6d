"""The errors that matter, in words."""

from __future__ import annotations

from dataclasses import dataclass

from rtmo_plugin.analysis.measures.costs import Cost
from rtmo_plugin.analysis.measures.study import Study

LEAST_COST = 0.005  # half a point of AP: what costs less is not named

TITLES = {
    "jitter": "Jitter",
    "inversion": "Inversion",
    "swap": "Swap",
    "miss": "Miss",
    "duplicate": "Duplicates",
    "background": "Background",
    "missed": "Missed people",
    "ranking": "Ranking",
}
MEANINGS = {
    "jitter": "the keypoint is near its place, not on it (similarity 0.5 to 0.85)",
    "inversion": "the keypoint is on the person's other side: left and right are exchanged",
    "swap": "the keypoint is on another person",
    "miss": "the keypoint is near nothing that it could be confused with",
    "duplicate": "a detection of a person who was found already",
    "background": "a detection where there is no person",
    "missed": "no detection is matched with the person",
    "ranking": "scores put worse poses before better ones; measured with the OKS as the score",
}
_UNITS = {"duplicate": "detections", "background": "detections", "missed": "people"}


@dataclass(frozen=True)
class Finding:
    """One kind of error that costs more than half a point of AP when looked at by itself."""

    name: str
    title: str
    words: str


def find_what_matters(costs: list[Cost], study: Study) -> list[Finding]:
    """Return the kinds of errors that cost at least ``LEAST_COST``, dearest first."""
    dear = sorted((cost for cost in costs if cost.alone >= LEAST_COST), key=lambda cost: -cost.alone)
    return [Finding(cost.name, TITLES[cost.name], _describe(cost, study)) for cost in dear]


def _describe(cost: Cost, study: Study) -> str:
    totals = {"duplicate": len(study.rows), "background": len(study.rows)}
    totals["missed"] = int((~study.comparison.truth.is_ignored).sum())
    total = totals.get(cost.name, int((study.kinds >= 0).sum()))
    unit = _UNITS.get(cost.name, "keypoints of the people found")
    amount = f"{cost.count:,} of {total:,} {unit} ({cost.count / max(total, 1):.1%}); " if cost.count else ""
    return f"{MEANINGS[cost.name]}: {amount}{100 * cost.alone:.1f} points of AP."
