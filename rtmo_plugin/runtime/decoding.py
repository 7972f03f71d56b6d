"""Decoding: from the outputs of an exported file to detections, the same ones for all cuts.

Letters as in ``rtmo_plugin.structures``; coordinates are pixels of the network's input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import NonFiniteError
from rtmo_plugin.ops.arrays import Floats, box_nms, decode_box_deltas, place_priors
from rtmo_plugin.runtime.coordinate_decoder import CoordinateDecoder
from rtmo_plugin.runtime.detections import DIVERGED, Detections
from rtmo_plugin.runtime.model_info import FUSED_OUTPUT, UNCERTAINTY, ModelInfo
from rtmo_plugin.score_calibration import ScoreCalibration

Outputs = Mapping[str, NDArray[Any]]


class Decoder:
    """Decoder of the outputs of an exported file.

    Args:
        info: Metadata of the file.
        coordinates: Coordinate classifier, for files with the cut ``raw``.
        score_thr: Score above which detections are returned. Default: the file's own; an end-to-end file has dropped
            those below it already.
        calibration: Score calibration; the file's threshold then applies to uncalibrated scores, and ``score_thr`` to
            calibrated ones. Default: scores are not calibrated.
        uncertainty: Whether detections have the standard deviations of their keypoints; the file must have them.
    """

    def __init__(
        self,
        info: ModelInfo,
        coordinates: CoordinateDecoder | None = None,
        score_thr: float | None = None,
        calibration: ScoreCalibration | None = None,
        *,
        uncertainty: bool = False,
    ) -> None:
        self._has_uncertainty = uncertainty
        self._info, self._coordinates, self._calibration = info, coordinates, calibration
        self._least_calibrated = score_thr or 0.0
        self._score_thr = info.score_thr if score_thr is None or calibration else score_thr

    def decode(self, outputs: Outputs, size_wh: tuple[int, int]) -> list[Detections]:
        """Return the detections of each image, in pixels of the input.

        Args:
            outputs: Outputs of the file by name, for B images.
            size_wh: Input width and height in pixels.

        Raises:
            NonFiniteError: An output is NaN or infinite.
        """
        is_raw, outputs = self._info.cut == "raw", split_fused_rows(outputs)
        logits = [outputs[f"class_logits_{stride}"] for stride in self._info.strides] if is_raw else []
        # The threshold would drop people with a score of NaN.
        if not all(np.isfinite(each).all() for each in logits or [outputs["dets"][..., 4]]):
            raise NonFiniteError(DIVERGED)
        everyone = (self._decode_maps if is_raw else self._decode_rows)(outputs, size_wh)
        for people in everyone:
            people.check_finite()
        if self._calibration is None:
            return everyone
        calibrated = []
        for people in everyone:  # best first, above the threshold
            scores = self._calibration.apply(people.scores, people.keypoint_scores).astype(people.scores.dtype)
            order = np.argsort(-scores, kind="stable")
            calibrated.append(replace(people, scores=scores).select(order[scores[order] > self._least_calibrated]))
        return calibrated

    def _decode_rows(self, outputs: Outputs, size_wh: tuple[int, int]) -> list[Detections]:
        """Decode the rows of a file that ends with people or, before NMS, with priors."""
        labels, uncertainty = outputs.get("labels"), outputs[UNCERTAINTY] if self._has_uncertainty else None
        everyone = []
        for image, (dets, keypoints) in enumerate(zip(outputs["dets"], outputs["keypoints"])):
            classes = np.zeros(len(dets), np.int64) if labels is None else labels[image].astype(np.int64)
            deviations = None if uncertainty is None else uncertainty[image] * self._info.uncertainty_factor
            people = Detections(dets[:, :4], dets[:, 4], keypoints[..., :2], keypoints[..., 2], classes, deviations)
            people = people.select(people.scores > self._score_thr)
            if self._info.cut != "end2end":
                people = people.select(box_nms(people.boxes, people.scores, self._info.nms_thr))
            everyone.append(people.select(slice(self._info.max_people)))
        return everyone

    def _decode_maps(self, outputs: Outputs, size_wh: tuple[int, int]) -> list[Detections]:
        """Decode the head's maps; keypoints are computed for the kept priors only."""
        flat = {}  # (B, P, C) by name, all levels in a row
        for name in _MAPS:
            levels = [outputs[f"{name}_{stride}"] for stride in self._info.strides]
            flat[name] = np.concatenate([each.reshape(*each.shape[:2], -1).swapaxes(1, 2) for each in levels], axis=1)
        num_images = len(flat["class_logits"])
        return [self._decode_image({name: maps[i] for name, maps in flat.items()}, size_wh) for i in range(num_images)]

    def _decode_image(self, maps: Mapping[str, Floats], size_wh: tuple[int, int]) -> Detections:
        """Decode the (P, C) rows of one image."""
        shapes_hw = [(size_wh[1] // stride, size_wh[0] // stride) for stride in self._info.strides]
        centers, strides = place_priors(shapes_hw, self._info.strides)
        scores = _sigmoid(maps["class_logits"])
        best = scores.max(axis=-1)
        above = np.flatnonzero(best > self._score_thr)
        boxes = decode_box_deltas(maps["box_deltas"][above], centers[above], strides[above])
        kept = box_nms(boxes, best[above], self._info.nms_thr)[: self._info.max_people]
        rows, boxes = above[kept], boxes[kept]
        assert self._coordinates is not None  # ExportedModel loads it for raw files
        given, deviations = (maps["pose_vectors"][rows], boxes, centers[rows], size_wh), None
        if self._has_uncertainty:
            keypoints, deviations = self._coordinates.locate_with_deviations(*given)
            deviations = deviations * self._info.uncertainty_factor
        else:
            keypoints = self._coordinates.locate(*given)
        visibility = _sigmoid(maps["visibility_logits"][rows])
        return Detections(boxes, best[rows], keypoints, visibility, scores[rows].argmax(axis=-1), deviations)


def split_fused_rows(outputs: Outputs) -> Outputs:
    """Return the outputs of the cut ``decoded`` for those of ``fused``; those of other cuts are returned unchanged."""
    if FUSED_OUTPUT not in outputs:
        return outputs
    rows = outputs[FUSED_OUTPUT]
    return {"dets": rows[..., :5], "keypoints": rows[..., 5:].reshape(*rows.shape[:-1], -1, 3)}


_MAPS = ("class_logits", "box_deltas", "visibility_logits", "pose_vectors")


def _sigmoid(logits: Floats) -> Floats:
    probs: Floats = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    return probs
