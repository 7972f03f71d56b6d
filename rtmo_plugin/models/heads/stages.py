"""Training stages: what changes in the loss while RTMO learns, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LOSS_NAMES = ("cls", "bbox", "oks", "vis", "mle", "bbox_aux")
PROXY_TARGETS = ("truth", "dcc")

# The one copy of the loss weights: those of RTMO-s on COCO.  A stage inherits what it does not name from the one
# before; configs name what differs, in ``model.head.stages``.
DEFAULT_STAGES: dict[str, dict[str, Any]] = {
    "warmup": {
        "weights": {"cls": 1.0, "bbox": 5.0, "oks": 30.0, "vis": 1.0, "mle": 1.0, "bbox_aux": 0.0},
        "class_target_power": 0.5,
        "proxy_target": "truth",
    },
    "refine": {"weights": {"mle": 5.0, "oks": 10.0}, "proxy_target": "dcc"},
    "finish": {"weights": {"bbox_aux": 1.0}},
}


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes:
        weights: Weight of each loss, by the names in ``LOSS_NAMES``.
        class_target_power: A positive's class target is its OKS to this power.
        proxy_target: What teaches the proxy keypoints, and whose OKS is the class target: the
            ``"truth"`` and the proxy itself, or, once it is the better one, ``"dcc"``.

    Raises:
        ValueError: A loss is missing, unknown or has a negative weight, or the proxy target is unknown.
    """

    weights: Mapping[str, float]
    class_target_power: float
    proxy_target: str

    def __post_init__(self) -> None:
        if set(self.weights) != set(LOSS_NAMES):
            odd = sorted(set(self.weights) ^ set(LOSS_NAMES))
            raise ValueError(f"A stage weighs the losses {LOSS_NAMES}; missing or unknown: {odd}.")
        if min(self.weights.values()) < 0:
            raise ValueError(f"Loss weights must not be negative, got {dict(self.weights)}.")
        if self.proxy_target not in PROXY_TARGETS:
            raise ValueError(f"proxy_target is one of {PROXY_TARGETS}, got {self.proxy_target!r}.")


def build_stages(overrides: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Stage]:
    """Build the stages in order, each taking from the one before what it does not name.

    Args:
        overrides: Stage name to the fields that differ from ``DEFAULT_STAGES``; ``weights`` may be
            given in part.

    Raises:
        KeyError: A stage or field that does not exist.

    Examples:
        >>> build_stages({"warmup": {"weights": {"mle": 0.01}}})["finish"].weights["mle"]
        5.0
    """
    overrides = overrides or {}
    unknown = sorted(set(overrides) - set(DEFAULT_STAGES))
    if unknown:
        raise KeyError(f"Unknown training stage {unknown[0]!r}: name one of {', '.join(DEFAULT_STAGES)}.")
    stages: dict[str, Stage] = {}
    merged: dict[str, Any] = {}
    for name, default in DEFAULT_STAGES.items():
        for fields in (default, overrides.get(name, {})):
            odd = sorted(set(fields) - set(Stage.__dataclass_fields__))
            if odd:
                raise KeyError(f"Stage {name!r} has no field {odd[0]!r}: {', '.join(Stage.__dataclass_fields__)}.")
            merged = {**merged, **fields, "weights": {**merged.get("weights", {}), **fields.get("weights", {})}}
        stages[name] = Stage(**merged)
    return stages
