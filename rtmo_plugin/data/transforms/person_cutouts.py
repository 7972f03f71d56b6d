"""People cut out of an image: pixels, a mask and labels, to be pasted into another one.

Shape letters: H, W image, h, w cutout, G people, K keypoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from xtcocotools import mask as coco_masks  # MMPose's package, or its stand-in

from rtmo_plugin.data.transforms.collage import Image, Matrix
from rtmo_plugin.data.transforms.covering import find_labeled, find_on_mask
from rtmo_plugin.data.transforms.person_labels import KEYS, PersonLabels, flip_people, warp_people

Mask = NDArray[np.uint8]

_MIN_LABELED = 3  # keypoints, of sets with as many
_HULL_MARGIN = 0.1  # around the outermost keypoints, relative to the longer side of the box: hair, hands, soles
_HULL_SOFTNESS = 0.02  # standard deviation of the edge, in the same unit
_MASK_SOFTNESS = 0.7  # in pixels of the view
_MARGIN = 2  # pixels around a mask that the edge may touch


@dataclass(frozen=True, eq=False)
class Cutout:
    """One person of an image.

    Attributes:
        image: (h, w, 3) pixels around the person.
        mask: (h, w) 255 on the person, 0 elsewhere.
        labels: Labels of one person in pixels of the cutout.
        softness: Standard deviation of the edge in pixels of the cutout; 0 for the mask of a segmentation.
    """

    image: Image
    mask: Mask
    labels: PersonLabels
    softness: float

    def flip(self, flip_indices: Sequence[int]) -> Cutout:
        """Return the mirrored cutout, left and right keypoints exchanged."""
        size_wh = (self.mask.shape[1], self.mask.shape[0])
        image, mask = (np.asarray(cv2.flip(each, 1), np.uint8) for each in (self.image, self.mask))
        return Cutout(image, mask, flip_people(self.labels, size_wh, flip_indices), self.softness)

    def draw(self, matrix: Matrix, size_wh: Sequence[int]) -> View | None:
        """Return the cutout in a view of another image; None if it is outside.

        Args:
            matrix: (3, 3) scale and shift from pixels of the cutout to pixels of the view.
            size_wh: Width and height of the view.
        """
        scale, height, width = matrix[0, 0], *self.mask.shape
        low = np.floor(matrix[:2, 2])
        high = np.ceil(scale * np.array([width - 1, height - 1]) + matrix[:2, 2]) + 1
        (left, top), (right, bottom) = np.maximum(low, 0).astype(int), np.minimum(high, size_wh).astype(int)
        if left >= right or top >= bottom:
            return None
        moved = matrix[:2].copy()
        moved[:, 2] -= (left, top)
        image, mask = (
            cv2.warpAffine(each, moved, (int(right - left), int(bottom - top)), borderMode=border)
            for each, border in ((self.image, cv2.BORDER_REPLICATE), (self.mask, cv2.BORDER_CONSTANT))
        )
        softness = max(self.softness * scale, _MASK_SOFTNESS)
        alpha = np.asarray(cv2.GaussianBlur(mask, (0, 0), softness), np.uint8)
        return View(np.asarray(image, np.uint8), alpha, (int(left), int(top)), warp_people(self.labels, matrix))


@dataclass(frozen=True, eq=False)
class View:
    """A person in another image: pixels (h, w, 3), opacity (h, w) from 0 to 255, upper left corner, labels there."""

    image: Image
    alpha: Mask
    corner_xy: tuple[int, int]
    labels: PersonLabels

    def paste(self, image: Image) -> None:
        """Draw the person onto an image in place."""
        x, y = self.corner_xy
        height, width = self.alpha.shape
        part = image[y : y + height, x : x + width]
        opacity = self.alpha[..., None].astype(np.float32) / 255
        part[:] = np.rint(part + (self.image.astype(np.float32) - part) * opacity).astype(np.uint8)


def list_pasteable(record: Mapping[str, Any]) -> list[int]:
    """Return the indices of the people of a record who can be cut out: with a box, and three keypoints or all of two.

    Crowds and people without labels cannot: what is pasted has to be labeled.
    """
    num_labeled = find_labeled(record["keypoints_visible"]).sum(axis=1)
    least = min(_MIN_LABELED, record["keypoints"].shape[1])
    sizes = record["bbox"][:, 2:] - record["bbox"][:, :2]
    is_crowd = record.get("iscrowd") or [0] * len(sizes)
    return [
        index
        for index, (count, size) in enumerate(zip(num_labeled, sizes, strict=True))
        if count >= least and (size > 1).all() and not is_crowd[index]
    ]


def cut_out(record: Mapping[str, Any], index: int) -> Cutout | None:
    """Cut one person out of a record.

    The mask is that of the segmentation, if the annotation has one; otherwise the convex hull of the labeled keypoints
    with a margin, within the box, with soft edges. A hull with keypoints of other people, or with a part of an
    unlabeled person, is not cut out.

    Args:
        record: Record with ``img`` and ``raw_ann_info``.
        index: Index of the person.

    Returns:
        None where the person has no mask or cannot be told from others.
    """
    image = record["img"]
    annotations = record.get("raw_ann_info") or []
    segmentation = annotations[index].get("segmentation") if index < len(annotations) else None
    mask, softness = draw_segmentation(segmentation, image.shape[:2]), 0.0
    if mask is None:
        mask = draw_hull(record, index, image.shape[:2])
        left, top, right, bottom = record["bbox"][index]
        softness = _HULL_SOFTNESS * float(max(right - left, bottom - top))
        if _has_others(record, index, mask):
            return None
    left, top, width, height = cv2.boundingRect(mask)
    if not width:
        return None
    margin = _MARGIN + math.ceil(2 * softness)
    rows = slice(max(top - margin, 0), top + height + margin)
    columns = slice(max(left - margin, 0), left + width + margin)
    labels = {key: record[key][[index]] for key in KEYS}
    labels = warp_people(labels, np.array([[1.0, 0, -columns.start], [0, 1, -rows.start]]))
    return Cutout(image[rows, columns], mask[rows, columns], labels, softness)


def draw_segmentation(segmentation: Any, shape_hw: tuple[int, int]) -> Mask | None:
    """Return the mask (H, W), 0 or 255, of a segmentation in COCO's format.

    Args:
        segmentation: List of polygons, or run lengths, compressed or not.
        shape_hw: Height and width of the image.

    Returns:
        None if the segmentation is missing, or of another image size.
    """
    if isinstance(segmentation, Mapping):
        if tuple(segmentation["size"]) != tuple(shape_hw):
            return None
        runs = segmentation
        if isinstance(segmentation["counts"], list):
            runs = coco_masks.frPyObjects(dict(segmentation), *shape_hw)
    else:
        polygons = [each for each in segmentation or () if len(each) >= 6]
        if not polygons:
            return None
        runs = coco_masks.merge(coco_masks.frPyObjects(polygons, *shape_hw))
    return np.ascontiguousarray(coco_masks.decode(runs), np.uint8) * np.uint8(255)


def draw_hull(record: Mapping[str, Any], index: int, shape_hw: tuple[int, int]) -> Mask:
    """Return the mask (H, W), 0 or 255, of the hull of a person's labeled keypoints with a margin, within the box."""
    points = record["keypoints"][index][find_labeled(record["keypoints_visible"])[index]]
    left, top, right, bottom = record["bbox"][index]
    margin = max(round(_HULL_MARGIN * float(max(right - left, bottom - top))), 1)
    hull = cv2.convexHull(np.rint(points).astype(np.int32))
    drawn: Mask = np.zeros(shape_hw, np.uint8)
    cv2.fillConvexPoly(drawn, hull, (255,))
    cv2.polylines(drawn, [hull], isClosed=True, color=(255,), thickness=2 * margin)
    mask = np.zeros_like(drawn)
    inside = slice(math.floor(top), math.ceil(bottom) + 1), slice(math.floor(left), math.ceil(right) + 1)
    mask[inside] = drawn[inside]
    return mask


def _has_others(record: Mapping[str, Any], index: int, mask: Mask) -> bool:
    """Tell whether a mask holds a labeled keypoint of another person, or a part of the box of an unlabeled one."""
    is_on_mask = find_on_mask(record["keypoints"], mask)
    labeled = find_labeled(record["keypoints_visible"])
    for other, (left, top, right, bottom) in enumerate(np.rint(record["bbox"]).astype(int)):
        if other == index:
            continue
        if labeled[other].any() and not (record.get("iscrowd") or [0] * (other + 1))[other]:
            if (is_on_mask[other] & labeled[other]).any():
                return True
        elif mask[max(top, 0) : bottom, max(left, 0) : right].any():
            return True
    return False
