"""The worst images: the people of the data set beside the detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.analysis.analysis_input import AnalysisInput
from rtmo_plugin.analysis.measures.costs import BadImage, find_worst_images
from rtmo_plugin.analysis.measures.study import Study
from rtmo_plugin.data.stored_images import read_stored_image
from rtmo_plugin.keypoints.sides import put_left_first
from rtmo_plugin.media.drawing import Floats, Image, draw_people
from rtmo_plugin.ops.arrays import Ints
from rtmo_plugin.wording import count

Indices = NDArray[np.intp]

SHOWN_SCORE = 0.3
_WIDTH = 480  # of each half, in pixels
_QUALITY = 82
_GRAY = 236  # background of an image whose file is not known
_GAP = 6


@dataclass(frozen=True)
class ShownImage:
    """An image of the page: people of the data set on the left, detections on the right."""

    jpeg: bytes
    description: str  # for readers who do not see it
    caption: str


def draw_worst_images(data: AnalysisInput, study: Study, num_images: int) -> list[ShownImage]:
    """Return the images with the largest errors, worst first.

    Args:
        data: Input of the analysis.
        study: Matches and errors of its detections.
        num_images: Largest number of images.
    """
    shown = []
    for bad in find_worst_images(study, num_images, SHOWN_SCORE):
        name = data.comparison.truth.image_ids[bad.index]
        description = f"image {name}: people of the data set, and detections"
        # such as "Image 7: 3 people, 1 missed; keypoints: 2 jitter, 1 swap"
        caption = f"Image {name}: {count(bad.num_people, 'person', 'people')}"
        people = {"missed": bad.num_missed, "false": bad.num_false}
        caption += "".join(f", {number} {kind}" for kind, number in people.items() if number)
        keypoints = ", ".join(f"{number} {kind}" for kind, number in bad.num_keypoints.items() if number)
        caption += f"; keypoints: {keypoints}" if keypoints else ""
        shown.append(ShownImage(_draw_both(data, study, bad), description, caption))
    return shown


def _draw_both(data: AnalysisInput, study: Study, bad: BadImage) -> bytes:
    """Return a JPEG file of both halves; a person and the detection of that person have one color."""
    truth, detections = data.comparison.truth, data.comparison.detections
    people = np.flatnonzero((truth.image == bad.index) & ~truth.is_ignored)
    chosen = np.flatnonzero((detections.image == bad.index) & (detections.scores >= SHOWN_SCORE))
    labeled, found = truth.keypoints[people], detections.keypoints[chosen]
    path = data.image_paths.get(truth.image_ids[bad.index])
    if path:
        image = read_stored_image(path)
    else:  # a gray image that holds all points
        points = np.concatenate([labeled[..., :2], found]).reshape(-1, 2)
        width, height = np.clip(points.max(0) if len(points) else (1, 1), 320, 2000).astype(int)
        image = np.full((height, width, 3), _GRAY, np.uint8)
    is_labeled, numbers = labeled[..., 2] > 0, number_detections(study, people, chosen)
    halves = [
        _draw(data, image, labeled[..., :2], is_labeled.astype(float), truth.category[people], range(len(people))),
        _draw(data, image, found, detections.keypoint_scores[chosen], detections.category[chosen], numbers),
    ]
    gap = np.full((halves[0].shape[0], _GAP, 3), 255, np.uint8)
    _, content = cv2.imencode(".jpg", np.hstack([halves[0], gap, halves[1]]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return content.tobytes()


def number_detections(study: Study, people: Indices, chosen: Indices) -> list[int]:
    """Return the number of each detection, which decides its color.

    Args:
        study: Matches of detections and people.
        people: Indices of the people of an image.
        chosen: Indices of the detections of the image.

    Returns:
        The place of the matched person among ``people``; a number of its own for a false detection.
    """
    places = {int(person): place for place, person in enumerate(people)}
    matches = {int(row): places.get(int(person)) for row, person in zip(study.rows, study.person)}
    numbers = [matches.get(int(row)) for row in chosen]
    return [len(people) + place if number is None else number for place, number in enumerate(numbers)]


def _draw(
    data: AnalysisInput, image: Image, keypoints: Floats, scores: Floats, categories: Ints, numbers: Sequence[int]
) -> Image:
    """Return the image with people on it, ``_WIDTH`` wide."""
    pairs = put_left_first(data.schema.flip_pairs, data.schema.names)
    skeletons = data.find_skeletons(categories)
    drawn = draw_people(image, keypoints, scores, skeletons, flip_pairs=pairs, numbers=numbers)
    height = max(1, round(drawn.shape[0] * _WIDTH / drawn.shape[1]))
    scaled: Image = np.asarray(cv2.resize(drawn, (_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
    return scaled
