"""What can be wrong with a COCO file: every kind of finding, what it means, and what ``--fix`` does.

The order is the order of the report.  A kind without a remedy needs a person to decide.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """One kind of finding.

    Attributes:
        section: The list of the COCO file that the finding is in.
        meaning: What is wrong, for the report.
        remedy: What ``--fix`` does about it; empty where it does nothing.
    """

    section: str
    meaning: str
    remedy: str = ""


class Problem(NamedTuple):
    """One entry of a COCO file that has something wrong.

    Attributes:
        kind: A key of ``KINDS``.
        place: Index of the entry in its list.
        text: The entry and what is wrong with it, for the report.
    """

    kind: str
    place: int
    text: str


KINDS = {
    "category-broken": Kind("categories", "categories without a whole number as id, or without a name"),
    "category-repeated": Kind("categories", "categories that are there twice", "dropped the repeats"),
    "category-conflict": Kind("categories", "different categories with the same id"),
    "category-keypoints": Kind("categories", "categories whose keypoint names are missing, repeated or not text"),
    "category-flip": Kind("categories", "categories with keypoints that a flip cannot exchange"),
    "category-sides": Kind("categories", "categories whose keypoint names leave left and right open"),
    "category-skeleton": Kind("categories", "categories with bones that lead nowhere", "dropped those bones"),
    "category-differs": Kind("categories", "categories with other keypoints than the first: one model has one set"),
    "image-broken": Kind("images", "images without a whole number as id, a file name or a size", "dropped"),
    "image-repeated": Kind("images", "images that are there twice", "dropped the repeats"),
    "image-conflict": Kind(
        "images", "different images with the same id", "dropped: nobody can tell whose people theirs are"
    ),
    "image-missing": Kind("images", "images whose file is missing", "dropped"),
    "image-truncated": Kind("images", "images whose file is cut off or not an image", "dropped"),
    "image-size": Kind(
        "images", "images of another size than the file says",
        "gave them the size of the picture, coordinates unchanged",
    ),
    "annotation-broken": Kind("annotations", "annotations without a whole number as id", "dropped"),
    "annotation-repeated": Kind("annotations", "annotations that are there twice", "dropped the repeats"),
    "annotation-conflict": Kind("annotations", "different annotations with the same id", "gave the later ones new ids"),
    "unknown-image": Kind("annotations", "annotations of an image that is not in the file", "dropped"),
    "unknown-category": Kind("annotations", "annotations of a category that is not in the file", "dropped"),
    "keypoint-count": Kind(
        "annotations", "annotations with another number of keypoints than their category has names", "dropped"
    ),
    "keypoint-number": Kind(
        "annotations", "annotations with keypoints that are NaN, infinite or not numbers",
        "made them unlabelled (0, 0, 0)",
    ),
    "keypoint-visibility": Kind(
        "annotations", "annotations with a visibility other than 0, 1 and 2", "made them 2 above zero, else 0"
    ),
    "keypoint-outside": Kind(
        "annotations", "annotations with labelled keypoints outside the image", "made them unlabelled (0, 0, 0)"
    ),
    "num-keypoints": Kind(
        "annotations", "annotations whose num_keypoints is missing or cannot be true", "counted again"
    ),
    "box-number": Kind(
        "annotations", "annotations whose box is missing, NaN, infinite or not four numbers",
        "drew it around the labelled keypoints, or dropped those with fewer than two",
    ),
    "box-inverted": Kind("annotations", "annotations whose box has a negative width or height", "turned it round"),
    "box-empty": Kind(
        "annotations", "annotations whose box is empty",
        "drew it around the labelled keypoints, or dropped those with fewer than two",
    ),
    "box-outside": Kind("annotations", "annotations whose box lies outside the image", "dropped"),
    "area": Kind("annotations", "annotations whose area is NaN, infinite, negative or not a number", "made it w x h"),
}  # fmt: skip
