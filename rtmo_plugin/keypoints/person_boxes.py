"""Boxes for people whose labels have keypoints and no usable box: the one copy of the rule.

Labeling tools let a person draw keypoints alone, and a single keypoint or a straight line of them spans
a box without area. Such a person would be dropped in training and match nothing in evaluation.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

MIN_SIDE = 1.0  # pixels; a narrower box has no area worth learning
PERSON_SHARE = 0.53  # part of a box that a person fills, as in CrowdPose's evaluation and MMPose's loader
_SPAN_MARGIN = 0.1  # share of the longer side of the span
_IMAGE_MARGIN = 0.025  # share of the longer image side, which decides where the span is a single point
_DEFAULT_MARGIN = 16.0  # pixels: the share above for an image of 640


def has_area(box: Sequence[float]) -> bool:
    """Whether a box (x, y, width, height) is at least a pixel wide and high.

    Examples:
        >>> has_area([5, 5, 20, 40]), has_area([5, 5, 0, 40])
        (True, False)
    """
    return box[2] >= MIN_SIDE and box[3] >= MIN_SIDE


def span_keypoints(keypoints: Sequence[float]) -> list[float] | None:
    """Return the smallest box (x, y, width, height) around the labeled keypoints, or None without any.

    Args:
        keypoints: 3K numbers (x, y, visibility), as COCO has them.
    """
    points = [(x, y) for x, y, v in zip(keypoints[0::3], keypoints[1::3], keypoints[2::3]) if v > 0]
    if not points:
        return None
    xs, ys = zip(*points)
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def complete_box(
    box: Sequence[float] | None, keypoints: Sequence[float], size_wh: tuple[float, float] | None = None
) -> list[float] | None:
    """Return a person's box if it has an area, else one drawn around the labeled keypoints.

    The drawn box is the span of the keypoints. A span without area gets a margin on all sides: a tenth
    of its longer side, and at least 2.5 % of the longer image side. It is then clipped to the image.

    Args:
        box: The person's own box (x, y, width, height), or None.
        keypoints: 3K numbers (x, y, visibility), as COCO has them.
        size_wh: Image width and height. Default: unknown; the least margin is 16 pixels, without clipping.

    Returns:
        A box of at least one pixel in width and height, or None if neither box nor keypoints tell it.

    Examples:
        >>> complete_box([100, 120, 0, 0], [100, 120, 2], (640, 480))
        [84.0, 104.0, 32.0, 32.0]
        >>> complete_box(None, [10, 20, 2, 30, 60, 1, 0, 0, 0])
        [10, 20, 20, 40]
    """
    if box is not None and has_area(box):
        return list(box)
    span = span_keypoints(keypoints)
    if span is None or has_area(span):
        return span
    least = _DEFAULT_MARGIN if size_wh is None else max(MIN_SIDE, _IMAGE_MARGIN * max(size_wh))
    margin = max(least, _SPAN_MARGIN * max(span[2:]))
    grown = [span[0] - margin, span[1] - margin, span[2] + 2 * margin, span[3] + 2 * margin]
    if size_wh is None:
        return grown
    left, top = max(grown[0], 0.0), max(grown[1], 0.0)
    right, bottom = min(grown[0] + grown[2], size_wh[0]), min(grown[1] + grown[3], size_wh[1])
    clipped = [left, top, right - left, bottom - top]
    return clipped if has_area(clipped) else grown  # keypoints outside the image keep a box around them


def estimate_area(box: Sequence[float]) -> float:
    """Return the area of the person in a box, in square pixels.

    Examples:
        >>> estimate_area([0, 0, 10, 10])
        53.0
    """
    return PERSON_SHARE * (box[2] * box[3])


def complete_person(person: Mapping[str, Any], size_wh: tuple[float, float] | None = None) -> dict[str, Any]:
    """Return a COCO annotation with a box that has an area inside the image, and with a positive area.

    What is usable stays as it is.  A person without labeled keypoints, and a crowd, keep their box.

    Args:
        person: Annotation with ``keypoints``; ``bbox`` and ``area`` may be missing.
        size_wh: Image width and height. Default: unknown.

    Examples:
        >>> complete_person({"keypoints": [100, 120, 2], "bbox": [100, 120, 0, 0], "area": 0}, (640, 480))
        {'keypoints': [100, 120, 2], 'bbox': [84.0, 104.0, 32.0, 32.0], 'area': 542.72}
    """
    completed, given = dict(person), person.get("bbox")
    box = _read_box(given)
    if box is None and given is not None:
        return completed  # not a box at all: checks and evaluation say so
    is_outside = box is not None and any(
        start >= size - 1 or start + extent <= 0 for start, extent, size in zip(box[:2], box[2:], size_wh or ())
    )
    if box is None or is_outside or not has_area(box):
        drawn = None if person.get("iscrowd") else complete_box(None, person["keypoints"], size_wh)
        if drawn is not None:
            completed["bbox"] = box = drawn
    area = person.get("area")
    if box is not None and (area is None or (isinstance(area, (int, float)) and area <= 0)):
        completed["area"] = estimate_area(box)
    return completed


def _read_box(box: Any) -> list[float] | None:
    """Return four finite numbers, or None for anything else."""
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        return None
    is_number = all(isinstance(each, (int, float)) and abs(each) <= sys.float_info.max for each in box)
    return list(box) if is_number else None
