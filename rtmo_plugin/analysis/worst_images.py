"""The worst images: what is there beside what was found."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.analysis.html import make_figure, make_image
from rtmo_plugin.analysis.material import Material
from rtmo_plugin.analysis.measures.study import Study
from rtmo_plugin.analysis.measures.worst import BadImage, find_worst_images
from rtmo_plugin.data.stored_images import read_stored_image
from rtmo_plugin.keypoints.sides import split_side
from rtmo_plugin.media.drawing import Floats, Image, draw_people

Indices = NDArray[np.intp]

SHOWN_SCORE = 0.3
_WIDTH = 480  # of each half, in pixels
_QUALITY = 82
_EMPTY = 236  # grey where there is no image
_GAP = 6


def show_worst(material: Material, study: Study, num_images: int) -> str:
    """Return the worst images as figures, people of the data set to the left and detections to the right."""
    worst = find_worst_images(study, num_images, SHOWN_SCORE)
    return "\n".join(make_figure(_show(material, study, each), _describe(material, each)) for each in worst)


def _show(material: Material, study: Study, bad: BadImage) -> str:
    """Return truth and detections side by side; a person and the detection of that person have one colour."""
    truth, detections = material.comparison.truth, material.comparison.detections
    people = np.flatnonzero((truth.image == bad.index) & ~truth.is_ignored)
    chosen = np.flatnonzero((detections.image == bad.index) & (detections.scores >= SHOWN_SCORE))
    there, found = truth.keypoints[people], detections.keypoints[chosen]
    image = _load(material, bad.index, np.concatenate([there[..., :2], found]))
    halves = [
        _draw(material, image, there[..., :2], (there[..., 2] > 0).astype(float), list(range(len(people)))),
        _draw(material, image, found, detections.keypoint_scores[chosen], _number(study, people, chosen)),
    ]
    gap = np.full((halves[0].shape[0], _GAP, 3), 255, np.uint8)
    _, content = cv2.imencode(".jpg", np.hstack([halves[0], gap, halves[1]]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    text = f"image {truth.image_ids[bad.index]}: people of the data set, and detections"
    return make_image(content.tobytes(), "jpeg", text)


def _number(study: Study, people: Indices, chosen: Indices) -> list[int]:
    """Return for each detection the place of its person among ``people``, else a number of its own."""
    places = {int(person): place for place, person in enumerate(people)}
    matches = {int(row): places.get(int(person)) for row, person in zip(study.rows, study.person)}
    numbers = [matches.get(int(row)) for row in chosen]
    return [len(people) + place if number is None else number for place, number in enumerate(numbers)]


def _load(material: Material, index: int, points: Floats) -> Image:
    """Return an image, or empty ground that holds all points where there is none."""
    path = material.image_paths.get(material.comparison.truth.image_ids[index])
    if path:
        return read_stored_image(path)
    width, height = np.clip(points.reshape(-1, 2).max(0) if len(points) else (1, 1), 320, 2000).astype(int)
    return np.full((height, width, 3), _EMPTY, np.uint8)


def _draw(material: Material, image: Image, keypoints: Floats, scores: Floats, numbers: list[int]) -> Image:
    """Return the image with people on it, ``_WIDTH`` wide."""
    names, schema = material.schema.names, material.schema
    pairs = [sorted(pair, key=lambda index: split_side(names[index])[0] != "left") for pair in schema.flip_pairs]
    drawn = draw_people(image, keypoints, scores, schema.skeleton, flip_pairs=pairs, numbers=numbers)
    height = max(1, round(drawn.shape[0] * _WIDTH / drawn.shape[1]))
    scaled: Image = np.asarray(cv2.resize(drawn, (_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)
    return scaled


def _describe(material: Material, bad: BadImage) -> str:
    """Return a caption: the image, and what is wrong with it."""
    people = "1 person" if bad.num_people == 1 else f"{bad.num_people} people"
    parts = [(bad.num_missed, "missed"), (bad.num_false, "false")]
    parts += [(count, name) for name, count in bad.num_keypoints.items()]
    errors = ", ".join(f"{count} {name}" for count, name in parts if count)
    name = material.comparison.truth.image_ids[bad.index]
    return f"Image {name}: {people}{'; ' + errors if errors else ''}"
