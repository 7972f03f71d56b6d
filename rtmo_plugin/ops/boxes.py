"""Boxes and areas of labelled people, where a file leaves them out or gives ones without extent.

Boxes are COCO's ``[x, y, width, height]`` and keypoints COCO's flat list of K times ``x, y, visibility``,
both in pixels.  Plain Python: checks, conversion, training and evaluation share these rules.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

PERSON_SHARE = 0.53  # part of a box that a person fills, as in CrowdPose's evaluation and MMPose's loader
_MARGIN = 0.1  # of the longer side of what is enclosed, on each side
_LEAST_MARGIN = 0.025  # of the longer side of the image, on each side
_USUAL_SIZE = (640, 640)


def has_extent(box: Any, size_wh: Sequence[float] | None = None) -> bool:
    """Return whether a box is four finite numbers with width and height, some of it inside the image.

    Args:
        box: Box, or whatever a file has in its place.
        size_wh: Image width and height; None skips the comparison with the image.

    Example:
        >>> has_extent([5, 5, 10, 20]), has_extent([5, 5, 0, 20]), has_extent([700, 5, 9, 9], (640, 480))
        (True, False, False)
    """
    if not _is_box(box) or box[2] <= 0 or box[3] <= 0:
        return False
    if size_wh is None:
        return True
    return all(start + extent > 0 and start < size - 1 for start, extent, size in zip(box[:2], box[2:], size_wh))


def enclose_keypoints(
    keypoints: Sequence[float], size_wh: Sequence[float] | None = None, box: Any = None
) -> list[float] | None:
    """Return a box around the labelled keypoints with a margin on each side, clipped to the image.

    The margin is a tenth of the longer side, and at least 1/40 of the longer side of the image, so
    that one keypoint or a straight line of keypoints has a box with an area.

    Args:
        keypoints: 3K numbers.
        size_wh: Image width and height; None for an image of unknown size.
        box: Box without area, whose corners are enclosed as well if they are finite and inside the image.

    Returns:
        The box; None if no keypoint is labelled, or all labelled ones are outside the image.

    Example:
        >>> enclose_keypoints([100, 60, 2], (640, 480))
        [84.0, 44.0, 32.0, 32.0]
        >>> enclose_keypoints([100, 60, 0], (640, 480)) is None
        True
    """
    width, height = size_wh or (math.inf, math.inf)
    points = [(x, y) for x, y, visibility in zip(keypoints[0::3], keypoints[1::3], keypoints[2::3]) if visibility > 0]
    points = [(x, y) for x, y in points if 0 <= x <= width and 0 <= y <= height]  # NaN is not inside
    if not points:
        return None
    if _is_box(box):
        corners = [(box[0], box[1]), (box[0] + box[2], box[1] + box[3])]
        points += [(x, y) for x, y in corners if 0 <= x <= width and 0 <= y <= height]
    (left, right), (top, bottom) = ((min(values), max(values)) for values in zip(*points))
    margin = max(_MARGIN * max(right - left, bottom - top), _LEAST_MARGIN * max(size_wh or _USUAL_SIZE))
    x1, y1 = max(left - margin, 0.0), max(top - margin, 0.0)
    x2, y2 = min(right + margin, width), min(bottom + margin, height)
    return [x1, y1, x2 - x1, y2 - y1]


def estimate_area(box: Sequence[float]) -> float:
    """Return the area of the person in a box, in square pixels.

    Example:
        >>> estimate_area([0, 0, 10, 10])
        53.0
    """
    return PERSON_SHARE * (box[2] * box[3])


def _is_box(box: Any) -> bool:
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        return False
    return all(isinstance(each, (int, float)) and abs(each) <= sys.float_info.max for each in box)
