"""All kinds of findings in a COCO file: their meaning, and what ``--fix`` does.

The order is that of the report. A kind without a remedy is left to the user.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Kind(NamedTuple):
    """One kind of finding.

    Attributes:
        section: List of the COCO file that has the entry.
        meaning: Entries and their fault, for the report.
        remedy: Action of ``--fix``; empty if it is left to the user.
        is_first: Whether ``--fix`` corrects it before it checks for other kinds, because it changes their meaning.
    """

    section: str
    meaning: str
    remedy: str = ""
    is_first: bool = False

    def describe(self, number: int) -> str:
        """Return the meaning with a number of entries.

        Example:
            >>> KINDS["image-repeated"].describe(1), KINDS["image-missing"].describe(2)
            ('1 image that is there twice', '2 images whose file is missing')
        """
        words = self.meaning
        if number == 1:
            words = re.sub("|".join(_SINGULAR), lambda found: _SINGULAR[found[0]], words, count=1)
            words = words.replace("that are there", "that is there").replace("their box", "its box")
        return f"{number:,} {words}"


_SINGULAR = {"annotations": "annotation", "images": "image", "categories": "category", "files": "file"}


class Problem(NamedTuple):
    """A finding: one entry of a COCO file, and what is wrong with it.

    Attributes:
        kind: A key of ``KINDS``.
        place: Index of the entry in its list.
        text: Sentence for the report, with the entry.
        reading: Name of the convention that the entry is in, if it is another one (see ``conventions``).
    """

    kind: str
    place: int
    text: str
    reading: str = ""


_DRAWN = "drew it around the labeled keypoints, or dropped those without any"
KINDS = {
    "category-form": Kind("categories", "categories with ids, names or bones in another form", "converted", True),
    "category-broken": Kind("categories", "categories without a whole number as id, or without a name"),
    "category-repeated": Kind("categories", "categories that are there twice", "dropped the repeats"),
    "category-conflict": Kind("categories", "categories with the id of another one that differs"),
    "category-name": Kind("categories", "categories with the same name under several ids"),
    "category-keypoints": Kind("categories", "categories whose keypoint names are missing, repeated or not text"),
    "category-flip": Kind("categories", "categories with keypoints that a flip cannot exchange"),
    "category-sides": Kind("categories", "categories whose keypoint names leave left and right open"),
    "category-skeleton": Kind(
        "categories", "categories with bones that lead nowhere",
        "counted from 1 the skeletons that have a 0, dropped other such bones",
    ),
    "category-differs": Kind(
        "categories", "categories with other keypoints than the first, which `rtmo dataset merge` joins to one set"
    ),
    "image-form": Kind("images", "images with an id, file name or size in another form", "converted", True),
    "image-broken": Kind("images", "images without a whole number as id, a file name or a size", "dropped"),
    "image-unsized": Kind("images", "images with labels and without a size, which --images would read"),
    "image-repeated": Kind("images", "images that are there twice", "dropped the repeats"),
    "image-conflict": Kind(
        "images", "different images with the same id", "dropped: it is open whose people theirs are"
    ),
    "image-turned": Kind(
        "images", "images whose width and height are exchanged, as their labels show", "exchanged them", True
    ),
    "image-file": Kind("images", "images with the same file under several ids: each lacks the people of the others"),
    "image-elsewhere": Kind(
        "images", "images whose file is in another place of the folder", "took the place where it is", True
    ),
    "image-missing": Kind("images", "images whose file is missing", "dropped"),
    "image-truncated": Kind("images", "images whose file is cut off or not an image", "dropped"),
    "image-size": Kind(
        "images", "images whose size the file does not have, or has wrongly",
        "gave them the size of the image; scaled the coordinates if they are beyond it", True,
    ),
    "annotation-form": Kind(
        "annotations", "annotations with ids, keypoints or numbers in another form", "converted", True
    ),
    "annotation-broken": Kind(
        "annotations", "annotations without a whole number as id", "gave them new ids; dropped what is not an object"
    ),
    "annotation-repeated": Kind("annotations", "annotations that are there twice", "dropped the repeats"),
    "annotation-conflict": Kind(
        "annotations", "annotations with the id of another one that differs", "gave the later ones new ids"
    ),
    "annotation-copy": Kind(
        "annotations", "annotations with the image, box and keypoints of another annotation",
        "dropped the later ones",
    ),
    "unlabeled-file": Kind("annotations", "files without any labeled keypoint"),
    "image-shift": Kind("annotations", "annotations whose image ids are all one higher or lower than those of images"),
    "category-shift": Kind(
        "annotations", "annotations whose category ids are all one higher or lower than those of categories"
    ),
    "unknown-image": Kind("annotations", "annotations of an image that is not in the file", "dropped"),
    "unknown-category": Kind("annotations", "annotations of a category that is not in the file", "dropped"),
    "keypoint-count": Kind(
        "annotations", "annotations with another number of keypoints than their category has names", "dropped"
    ),
    "keypoint-number": Kind(
        "annotations", "annotations with keypoints that are NaN, infinite or not numbers",
        "made them unlabeled (0, 0, 0)",
    ),
    "share-numbers": Kind(
        "annotations", "annotations whose numbers are shares or percent of the image, not pixels",
        "multiplied them by its size", True,
    ),
    "box-convention": Kind(
        "annotations", "annotations whose box and keypoints fit together in another convention only",
        "converted them to x, y, width, height", True,
    ),
    "visibility-share": Kind(
        "annotations", "annotations whose visibilities are shares between 0 and 1", "made them 2 from 0.5 on, else 0",
        True,
    ),
    "visibility-never-2": Kind(
        "annotations", "annotations with visibility 1 (hidden) in a file that never has 2 (visible)", "made them 2"
    ),
    "visibility-none": Kind("annotations", "annotations with coordinates in a file that labels no keypoint"),
    "keypoint-visibility": Kind(
        "annotations", "annotations with a visibility other than 0, 1 and 2", "made them 2 above zero, else 0"
    ),
    "keypoint-outside": Kind(
        "annotations", "annotations with labeled keypoints outside the image", "made them unlabeled (0, 0, 0)"
    ),
    "keypoint-origin": Kind(
        "annotations", "annotations with keypoints labeled at (0, 0), far from their box", "made them unlabeled"
    ),
    "keypoint-far": Kind("annotations", "annotations whose keypoints are far outside their box"),
    "num-keypoints": Kind(
        "annotations", "annotations whose num_keypoints is missing or cannot be true", "counted again"
    ),
    "box-number": Kind(
        "annotations", "annotations whose box is missing, NaN, infinite or not four numbers",
        _DRAWN,
    ),
    "box-inverted": Kind("annotations", "annotations whose box has a negative width or height", "turned it round"),
    "box-empty": Kind(
        "annotations", "annotations whose box is empty",
        _DRAWN,
    ),
    "box-outside": Kind("annotations", "annotations whose box lies outside the image", "dropped"),
    "area": Kind(
        "annotations", "annotations whose area is NaN, infinite, negative or not a number", "made it 0.53 of the box"
    ),
    "area-size": Kind(
        "annotations", "annotations whose area does not fit their box", "made it 0.53 of the box"
    ),
}  # fmt: skip
