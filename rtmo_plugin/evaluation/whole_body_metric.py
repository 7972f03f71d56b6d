"""The registered metric of COCO-WholeBody's 133 keypoints, and of its five parts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from rtmo_plugin.errors import DataError
from rtmo_plugin.evaluation.coco_metric import CocoMetric
from rtmo_plugin.evaluation.oks_matching import Matcher, make_empty_curves, summarize_parts
from rtmo_plugin.evaluation.predictions import Predictions
from rtmo_plugin.evaluation.records import Comparison, DatasetDetections, GroundTruth
from rtmo_plugin.evaluation.results_file import write_results
from rtmo_plugin.keypoints.whole_body import FIELDS, NUM_BY_PART, NUM_WHOLE_BODY
from rtmo_plugin.registry import METRICS

_ENDS = np.cumsum([*NUM_BY_PART.values()]).tolist()
PARTS = {part: slice(end - number, end) for (part, number), end in zip(NUM_BY_PART.items(), _ENDS)}


@METRICS.register_module()
class CocoWholeBodyMetric(CocoMetric):
    """AP and AR of COCO-WholeBody: all 133 keypoints, and body, feet, face and each hand by themselves.

    The numbers are those of MMPose 1.3's ``CocoWholeBodyMetric``, which returns those of all keypoints and prints
    the others. Here the parts are metrics too, such as ``AP of foot``. As there, the size of a detection is that of
    its body's keypoints, and a person without labeled keypoints of a part is neither found nor missed in it.

    Args:
        ann_file: COCO-WholeBody's annotation file, or one with all 133 in ``keypoints``; see ``CocoMetric``.
        **options: Arguments of ``CocoMetric`` and fields of ``MetricOptions``.

    Raises:
        DataError: Besides ``CocoMetric``'s reasons, the data set has another number of keypoints.
    """

    default_prefix = "coco-wholebody"

    def list_names(self) -> list[str]:
        """Return the names of the metrics that there may be, with their prefix, but for those of classes."""
        of_parts = summarize_parts(dict.fromkeys(PARTS, make_empty_curves()))
        return [*super().list_names(), *(f"{self.prefix}/{name}" for name in of_parts)]

    def _find_detections(self, found: Predictions, truth: GroundTruth) -> DatasetDetections:
        detections = super()._find_detections(found, truth)
        body = detections.keypoints[:, PARTS["body"]]
        return dataclasses.replace(detections, areas=(body.max(1) - body.min(1)).prod(1))

    def _write_results(self, found: Predictions, path: Path) -> None:
        write_results(found, path, {FIELDS[part]: chosen for part, chosen in PARTS.items()})

    def _summarize(self, matcher: Matcher, truth: GroundTruth) -> dict[str, float]:
        assert self.comparison is not None  # just made
        if len(self.sigmas) != NUM_WHOLE_BODY:
            raise DataError(
                f"CocoWholeBodyMetric is for {NUM_WHOLE_BODY} keypoints, and the data set has {len(self.sigmas)}."
            )
        parts = {part: Matcher(select_keypoints(self.comparison, chosen)).match() for part, chosen in PARTS.items()}
        return {**super()._summarize(matcher, truth), **summarize_parts(parts)}


def select_keypoints(comparison: Comparison, chosen: slice) -> Comparison:
    """Return people and detections with some of their keypoints.

    People without a labeled keypoint among them are ignored, and detections without a score above 0 left out.

    Args:
        comparison: People and detections with all keypoints.
        chosen: Slice of the keypoints.
    """
    truth, found = comparison.truth, comparison.detections
    keypoints = truth.keypoints[:, chosen]
    is_ignored = truth.is_crowd | ~(keypoints[..., 2] > 0).any(1)
    counts = (found.keypoint_scores[:, chosen] > 0).any(1)
    columns = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    columns = {name: None if values is None else values[counts] for name, values in columns.items()}
    for name in ("keypoints", "keypoint_scores", "deviations"):
        columns[name] = None if columns[name] is None else columns[name][:, chosen]
    return Comparison(
        dataclasses.replace(truth, keypoints=keypoints, is_ignored=is_ignored),
        DatasetDetections(**columns),
        comparison.sigmas[chosen],
    )
