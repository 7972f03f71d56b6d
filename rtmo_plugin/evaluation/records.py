"""Data that evaluation passes from one step to the next: options, mappings, people, detections, curves.

Shapes: I images, G people in the ground truth, D detections, N detections of one sample,
K keypoints, T OKS thresholds, R recall thresholds, C categories, A ranges of area.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtmo_plugin.number_ranges import NumberRange
from rtmo_plugin.ops.arrays import Bools, Floats, Ints


@dataclass(frozen=True)
class SampleResult:
    """What a metric keeps of one sample: predictions in original pixels, and its ground truth if it has to."""

    image_id: Hashable
    sample_id: Hashable  # of a person (top-down), or a tuple of the people's (bottom-up)
    category_ids: Ints  # (N,)
    keypoints: Floats  # (N, K, 2) x, y
    keypoint_scores: Floats  # (N, K)
    scores: Floats  # (N,) of the boxes
    boxes_xywh: Floats | None = None  # (N, 4)
    areas: Floats | None = None  # (N,) of the boxes that a top-down model was given
    image: Mapping[str, Any] | None = None  # with `annotations`, in place of an annotation file
    annotations: tuple[Mapping[str, Any], ...] = ()
    deviations: Floats | None = None  # (N, K, 2) standard deviations of the keypoints


@dataclass(frozen=True)
class GroundTruth:
    """The people to be found.  ``image`` and ``category`` are indices into the sorted ids."""

    image_ids: tuple[Any, ...]  # I
    category_ids: tuple[int, ...]  # C
    image: Ints  # (G,)
    category: Ints  # (G,)
    keypoints: Floats  # (G, K, 3) x, y, visibility (0, 1, 2)
    boxes_xywh: Floats  # (G, 4)
    areas: Floats  # (G,)
    is_crowd: Bools  # (G,) may be matched any number of times
    is_ignored: Bools  # (G,) neither found nor missed: crowds, and people without keypoints
    crowd_index: Floats | None = None  # (I,) how crowded an image is, 0 to 1


@dataclass(frozen=True)
class DatasetDetections:
    """All detections of a data set.  ``image`` and ``category`` are indices into the ids of the ground truth."""

    image: Ints  # (D,)
    category: Ints  # (D,)
    keypoints: Floats  # (D, K, 2)
    keypoint_scores: Floats  # (D, K)
    scores: Floats  # (D,)
    areas: Floats  # (D,)
    deviations: Floats | None = None  # (D, K, 2) standard deviations of the keypoints, if the model returns them


@dataclass(frozen=True)
class Comparison:
    """People and detections that an evaluation compared."""

    truth: GroundTruth
    detections: DatasetDetections
    sigmas: Floats  # (K,)


@dataclass(frozen=True)
class Difference:
    """Two APs on the same images, and the confidence interval of their difference."""

    first: float
    second: float
    low: float  # of the 95 % interval of second - first
    high: float
    num_images: int
    num_draws: int

    @property
    def is_more_than_noise(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0

    def describe(self, first: str = "A", second: str = "B") -> str:
        """Return a sentence, in points of AP."""
        change = 100 * (self.second - self.first)
        higher, lower = (second, first) if change >= 0 else (first, second)
        what = (
            f"{higher} scores {abs(change):.2f} points of AP more than {lower}" if change else "Both have the same AP"
        )
        verdict = "more than noise" if self.is_more_than_noise else "no more than noise"
        return (
            f"{what}, which is {verdict}: the 95 % interval of {second} - {first} goes from {100 * self.low:+.2f} to "
            f"{100 * self.high:+.2f} ({self.num_images} images, drawn {self.num_draws} times)."
        )


@dataclass(frozen=True)
class Curves:
    """Precision and recall; -1 without people to find."""

    precision: Floats  # (T, R, C, A)
    recall: Floats  # (T, C, A), the highest

    def select_category(self, index: int) -> Curves:
        """Return the curves of one of the C categories."""
        return Curves(self.precision[:, :, index : index + 1], self.recall[:, index : index + 1])


@dataclass(frozen=True)
class KeypointMapping:
    """Which keypoint becomes which; keypoints that nothing becomes are zeros.

    Raises:
        ValueError: An index is negative, or a target is not below ``num_keypoints``.
    """

    num_keypoints: int
    sources: tuple[int, ...]
    targets: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the indices."""
        if min((*self.sources, *self.targets), default=0) < 0 or max(self.targets, default=0) >= self.num_keypoints:
            raise ValueError(
                f"A keypoint mapping has sources {self.sources} and targets {self.targets}: all must be at least 0, "
                f"and the targets below num_keypoints={self.num_keypoints}."
            )

    @classmethod
    def from_config(cls, converter: Mapping[str, Any] | None) -> KeypointMapping | None:
        """Return the mapping of MMPose's ``dict(num_keypoints=.., mapping=[(source, target), ..])``, or None."""
        if converter is None:
            return None
        pairs: Sequence[Any] = converter.get("mapping", ())
        if any(not isinstance(index, int) for pair in pairs for index in pair):
            raise ValueError(
                f"A keypoint mapping for evaluation needs pairs (source, target) of integers, not {pairs}."
            )
        return cls(converter["num_keypoints"], tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))

    def apply(self, values: Floats, fill: float = 0) -> Floats:
        """Return (N, K, ...) values in the order of the targets, ``fill`` where a target has no source."""
        if max(self.sources, default=-1) >= values.shape[1]:
            raise ValueError(f"A keypoint mapping reads keypoint {max(self.sources)} of {values.shape[1]}.")
        mapped = np.full((len(values), self.num_keypoints, *values.shape[2:]), fill, values.dtype)
        mapped[:, list(self.targets)] = values[:, list(self.sources)]
        return mapped


PLAIN, CROWD = "keypoints", "keypoints_crowd"
SCORE_MODES = ("bbox", "bbox_keypoint", "bbox_rle", "keypoint")
NMS_MODES = ("oks_nms", "soft_oks_nms", "none")
_CHOICES = {"iou_type": (PLAIN, CROWD), "score_mode": SCORE_MODES, "nms_mode": NMS_MODES}


@dataclass(frozen=True)
class MetricOptions:
    """Options of a metric, checked at construction.

    Attributes:
        use_area: Whether to take a person's ``area``; otherwise 0.53 of the box, as for CrowdPose.
        iou_type: Kind of table: ``keypoints``, or ``keypoints_crowd`` for CrowdPose's table.
        score_mode: Score that ranks a detection, see ``predictions.rescore``.
        keypoint_score_thr: Score that keypoints must exceed to count in ``score_mode='bbox_keypoint'``.
        nms_mode: Kind of NMS, see ``predictions.apply_nms_mode``.
        nms_thr: Threshold of the NMS, see ``predictions.apply_nms_mode``.
        format_only: Whether to write the results and compute nothing; needs ``outfile_prefix``.
        pred_converter: Mapping ``dict(num_keypoints=.., mapping=[(source, target), ..])`` for the predictions.
        gt_converter: The same for the ground truth and the sigmas.
        outfile_prefix: Prefix of the file ``<outfile_prefix>.keypoints.json`` for results in COCO's format.
        sigmas: Sigmas (K,) that replace those of the data set's metainfo.
        class_wise: Whether to add AP and AR of each category, where there are several.
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
    class_wise: bool = False

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
