"""Drawing of people on images with OpenCV: limbs in a color per person, joints by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (height, width, 3), BGR
Floats = NDArray[np.floating[Any]]

# Distinct for normal and color-blind vision, on light and dark backgrounds; BGR.
_PALETTE = (
    (0, 159, 230),
    (233, 180, 86),
    (115, 158, 0),
    (66, 228, 240),
    (178, 114, 0),
    (0, 94, 213),
    (167, 121, 204),
    (80, 200, 120),
    (60, 60, 220),
    (200, 200, 60),
)
_LEFT, _RIGHT, _MIDDLE = (255, 255, 255), (40, 40, 40), (200, 200, 200)
_LENGTH_BY_WIDTH = 3.0  # of a limb: shorter ones are drawn thinner
_SHARE_OF_GAP = 0.25  # radius of a joint, as a share of the distance to the nearest other one
_SHIFT = 4  # OpenCV draws at 1/16 pixel, so that thin limbs of small people lie where they belong


def draw_people(
    image: Image,
    keypoints: Floats,
    scores: Floats,
    skeletons: Sequence[Sequence[Sequence[int]]],
    *,
    flip_pairs: Sequence[Sequence[int]] = (),
    keypoint_thr: float = 0.3,
    texts: Sequence[str] = (),
    numbers: Sequence[int] = (),
) -> Image:
    """Return a copy of ``image`` with people drawn on it.

    Args:
        image: Image, (height, width, 3) BGR.
        keypoints: (N, K, 2) x and y in pixels of ``image``.
        scores: (N, K) scores of the keypoints, 0..1.
        skeletons: N times the pairs of keypoints to connect, such as those of the person's class.
        flip_pairs: Pairs of left and right keypoints; left joints are white, right ones dark.
        keypoint_thr: Lowest score of keypoints that are drawn; limbs to other keypoints are left out.
        texts: Text above each person. Default: no text.
        numbers: Number of each person; equal numbers get equal colors. Default: the order of the people.
    """
    canvas = np.ascontiguousarray(image).copy()
    left, right = {pair[0] for pair in flip_pairs}, {pair[1] for pair in flip_pairs}
    num_keypoints = keypoints.shape[1] if keypoints.ndim == 3 else 0
    joints = [_LEFT if k in left else _RIGHT if k in right else _MIDDLE for k in range(num_keypoints)]
    for index, (points, point_scores, skeleton) in enumerate(zip(keypoints, scores, skeletons, strict=True)):
        is_shown = (point_scores >= keypoint_thr) & np.isfinite(points).all(axis=-1)
        color = _PALETTE[(numbers[index] if len(numbers) else index) % len(_PALETTE)]
        _draw_person(canvas, points, is_shown, skeleton, joints, color)
        if texts and is_shown.any():
            _write_text(canvas, texts[index], points[is_shown], color)
    return canvas


def draw_ellipses(canvas: Image, points: Floats, radii: Floats) -> None:
    """Draw ellipses onto an image.

    Args:
        canvas: Image, (height, width, 3) BGR, which is changed.
        points: (N, 2) centers in pixels.
        radii: (N, 2) radii in x and y in pixels.
    """
    thickness = max(1, round(max(canvas.shape[:2]) / 640))
    for point, (radius_x, radius_y) in zip(points, radii):
        if np.isfinite([*point, radius_x, radius_y]).all():
            axes = _fix(np.array([radius_x, radius_y]))
            cv2.ellipse(canvas, _fix(point), axes, 0, 0, 360, _LEFT, thickness, cv2.LINE_AA, _SHIFT)


def _draw_person(
    canvas: Image,
    points: Floats,
    is_shown: NDArray[np.bool_],
    skeleton: Sequence[Sequence[int]],
    joints: Sequence[tuple[int, int, int]],
    color: tuple[int, int, int],
) -> None:
    """Draw one person onto ``canvas``, limbs first, so that joints lie above them; fingers and faces are finer."""
    if not is_shown.any():
        return
    finest = max(1.0, max(canvas.shape[:2]) / 640)  # line width of small people in an image of this size
    thickness = round(min(max(finest, float(np.ptp(points[is_shown], axis=0).max()) / 60), 6 * finest))
    radii = np.clip(_SHARE_OF_GAP * measure_gaps(points, is_shown), 0.75, max(1.0, 0.8 * thickness))
    for a, b in skeleton:
        if is_shown[a] and is_shown[b]:
            length = float(np.linalg.norm(points[a] - points[b]))
            width = round(max(1.0, min(thickness, length / _LENGTH_BY_WIDTH, 2.5 * max(radii[a], radii[b]))))
            cv2.line(canvas, _fix(points[a]), _fix(points[b]), color, width, cv2.LINE_AA, _SHIFT)
    for k in np.flatnonzero(is_shown):
        radius = float(radii[k])
        cv2.circle(canvas, _fix(points[k]), round(1.35 * radius * 2**_SHIFT), color, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, _fix(points[k]), round(0.7 * radius * 2**_SHIFT), joints[k], -1, cv2.LINE_AA, _SHIFT)


def measure_gaps(points: Floats, is_shown: NDArray[np.bool_]) -> Floats:
    """Return the distance from each point to the nearest other one that is shown, infinite without another.

    Args:
        points: Keypoints (K, 2) of a person.
        is_shown: Whether each of them is drawn (K,).

    Examples:
        >>> measure_gaps(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]), np.array([True, True, False])).tolist()
        [5.0, 5.0, 1.0]
    """
    finite = np.where(np.isfinite(points), points, 0)
    distances = np.linalg.norm(finite[:, None] - finite[None], axis=-1)
    distances[:, ~is_shown] = np.inf
    np.fill_diagonal(distances, np.inf)
    gaps: Floats = distances.min(axis=1)
    return gaps


def _write_text(canvas: Image, text: str, points: Floats, color: tuple[int, int, int]) -> None:
    """Write a text above a person, within the image, with an outline that makes it readable on any background."""
    scale = 0.4 * max(1.0, max(canvas.shape[:2]) / 640)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    (middle, _), top = points.mean(axis=0), points[:, 1].min()
    left = int(np.clip(middle - width / 2, 0, max(canvas.shape[1] - width, 0)))
    base = int(np.clip(top - height, height, max(canvas.shape[0] - 1, height)))
    for ink, thickness in (((0, 0, 0), 3), (color, 1)):
        where = (canvas, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, scale)
        cv2.putText(*where, ink, round(thickness * max(1.0, 2 * scale)), cv2.LINE_AA)


def _fix(point: Floats) -> tuple[int, int]:
    """Return a point in OpenCV's fixed-point pixels, clipped so that its integers do not overflow."""
    x, y = np.clip(np.round(point * 2**_SHIFT), -(2**28), 2**28).astype(int)
    return int(x), int(y)
