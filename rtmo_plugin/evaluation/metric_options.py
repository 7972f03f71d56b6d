"""The options of the metrics, under MMPose's names and with its defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtmo_plugin.evaluation.duplicates import NMS_MODES
from rtmo_plugin.evaluation.scoring import SCORE_MODES
from rtmo_plugin.number_ranges import NumberRange

PLAIN, CROWD = "keypoints", "keypoints_crowd"
_CHOICES = {"iou_type": (PLAIN, CROWD), "score_mode": SCORE_MODES, "nms_mode": NMS_MODES}


@dataclass(frozen=True)
class MetricOptions:
    """Options of a metric, checked at construction.

    Attributes:
        use_area: Whether to take a person's ``area``; otherwise 0.53 of the box, as for CrowdPose.
        iou_type: Kind of table: ``keypoints``, or ``keypoints_crowd`` for CrowdPose's table.
        score_mode: Mode of ``scoring.rescore``.
        keypoint_score_thr: Score that keypoints must exceed to count in ``score_mode='bbox_keypoint'``.
        nms_mode: Mode of ``suppression.suppress``.
        nms_thr: Threshold of ``suppression.suppress``.
        format_only: Whether to write the results and compute nothing; needs ``outfile_prefix``.
        pred_converter: Mapping ``dict(num_keypoints=.., mapping=[(source, target), ..])`` for the predictions.
        gt_converter: The same for the ground truth and the sigmas.
        outfile_prefix: Prefix of the file ``<outfile_prefix>.keypoints.json`` for results in COCO's format.
        sigmas: Sigmas (K,) that replace those of the data set's metainfo.
        crowd_index_splits: Two values of ``crowdIndex``: images below the first are easy, from the second
            on hard.

    Raises:
        ValueError: A value is not one of those allowed, or ``format_only`` lacks ``outfile_prefix``.
    """

    use_area: bool = True
    iou_type: str = PLAIN
    score_mode: str = "bbox_keypoint"
    keypoint_score_thr: float = 0.2
    nms_mode: str = "oks_nms"
    nms_thr: float = 0.9
    format_only: bool = False
    pred_converter: Mapping[str, Any] | None = None
    gt_converter: Mapping[str, Any] | None = None
    outfile_prefix: str | None = None
    sigmas: Sequence[float] | None = None
    crowd_index_splits: tuple[float, float] = (0.2, 0.8)

    def __post_init__(self) -> None:
        """Check the values."""
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is not one of {', '.join(allowed)}.")
        for name in ("nms_thr", "keypoint_score_thr"):
            NumberRange(-1e9, 1e9, is_whole=False).check(name, getattr(self, name))
        if self.format_only and self.outfile_prefix is None:
            raise ValueError("format_only=True needs outfile_prefix, where the results are written.")
        first, second = self.crowd_index_splits
        if not 0 <= first <= second <= 1:
            raise ValueError(f"crowd_index_splits={self.crowd_index_splits} must be two rising numbers from 0 to 1.")
