"""From a scene to pixels: a label map that says what is seen where, and the colored image.

Everything is filled with integer coordinates at twice the resolution.  The label map is that
drawing, one number for each visible part of each person; the image takes its colors by looking
the labels up and halving the resolution, so that truth and image cannot disagree.

Shape letters: H, W image, F people, A capsules.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.data.synthetic import background, parts
from rtmo_plugin.data.synthetic.scene import Scene

NUM_SLOTS = len(parts.SLOTS)
FIRST_PROP_LABEL = 1 + 8 * NUM_SLOTS  # 0: background, then the slots of the people, then props
_SUPERSAMPLING = 2
_FRACTION_BITS = 4
_BORDER = 4  # pixels around the people that their outlines may touch
_OUTLINE, _ROUNDING = 0.45, 0.35  # how much darker outlines are, and what lies near them


def draw_labels(scene: Scene) -> NDArray[Any]:
    """Return the label map at twice the resolution, (2H, 2W) uint8.

    A person's slot ``s`` has the label ``1 + person * NUM_SLOTS + s``.
    """
    width, height = scene.settings.size_wh
    labels = np.zeros((_SUPERSAMPLING * height, _SUPERSAMPLING * width), np.uint8)
    outlines = _to_fixed_point(parts.outline_capsules(scene.landmarks, scene.heights))
    order = np.argsort(parts.measure_depths(scene.landmarks, scene.heights), axis=1, kind="stable")
    for person, options in enumerate(scene.options.tolist()):
        is_worn = parts.choose_capsules(tuple(options))
        first_label = 1 + person * NUM_SLOTS
        for capsule in order[person][is_worn[order[person]]]:
            label = first_label + int(parts.CAPSULE_SLOTS[capsule])
            cv2.fillConvexPoly(labels, outlines[person, capsule], (label,), cv2.LINE_8, _FRACTION_BITS)
    for number, prop in enumerate(scene.props):
        for polygon in prop.polygons:
            cv2.fillConvexPoly(
                labels, _to_fixed_point(polygon), (FIRST_PROP_LABEL + number,), cv2.LINE_8, _FRACTION_BITS
            )
    return labels


def halve_labels(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the label map at the image's resolution, (H, W): a view on (2H, 2W)."""
    return labels[::_SUPERSAMPLING, ::_SUPERSAMPLING]


def draw_image(scene: Scene, labels: NDArray[Any]) -> NDArray[Any]:
    """Return the image, (H, W, 3) uint8 BGR, of a scene whose label map is ``labels``."""
    settings = scene.settings
    rng = np.random.default_rng(scene.background_seed)
    image = background.draw_background(rng, settings.size_wh, int(scene.ground_line), settings.clutter)
    left, top, width, height = (value // _SUPERSAMPLING for value in cv2.boundingRect(labels))
    columns = slice(max(left - _BORDER, 0), left + width + _BORDER)
    rows = slice(max(top - _BORDER, 0), top + height + _BORDER)
    where = (rows, columns)  # all people lie within
    fine = tuple(slice(_SUPERSAMPLING * part.start, _SUPERSAMPLING * part.stop) for part in where)
    image[where] = _blend_people(image[where], labels[fine], _make_palette(scene), min(settings.size_wh))
    return background.add_light(rng, image)


def _blend_people(image: NDArray[Any], labels: NDArray[Any], palette: NDArray[Any], side: int) -> NDArray[Any]:
    """Return a piece of the image, (h, w, 3), with the people of its labels (2h, 2w) on it."""
    if not labels.size:
        return image
    size_wh = (image.shape[1], image.shape[0])
    people = cv2.merge([_halve(cv2.LUT(labels, channel), size_wh) for channel in palette.T.copy()])
    edges = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    edges = _halve(cv2.threshold(edges, 0, 255, cv2.THRESH_BINARY)[1], size_wh)
    width = 2 * (side // 64) + 1
    # Dark outlines between the parts, round limbs.
    shading = 255 - cv2.addWeighted(edges, _OUTLINE, cv2.blur(edges, (width, width)), _ROUNDING, 0)
    people = cv2.multiply(people, cv2.merge([shading] * 3), scale=1 / 255)
    alpha = _halve(cv2.threshold(labels, 0, 255, cv2.THRESH_BINARY)[1], size_wh)
    blended: NDArray[Any] = cv2.add(cv2.multiply(image, cv2.merge([255 - alpha] * 3), scale=1 / 255), people)
    return blended


def _to_fixed_point(points: NDArray[Any]) -> NDArray[Any]:
    """Return pixel coordinates (..., 2) as the integers that OpenCV fills polygons with.

    Pixel centers are at whole numbers at both resolutions: x becomes 2 x + 0.5.
    """
    fine = points * _SUPERSAMPLING + (_SUPERSAMPLING - 1) / 2
    fixed: NDArray[Any] = np.rint(fine * 2**_FRACTION_BITS).astype(np.int32)
    return fixed


def _halve(channel: NDArray[Any], size_wh: tuple[int, int]) -> NDArray[Any]:
    """Return one channel at the image's resolution."""
    halved: NDArray[Any] = cv2.resize(channel, size_wh, interpolation=cv2.INTER_AREA)
    return halved


def _make_palette(scene: Scene) -> NDArray[Any]:
    """Return the color of every label, (256, 3) uint8 BGR; what is far is darker."""
    palette = np.zeros((256, 3))
    depths = parts.measure_depths(scene.landmarks, scene.heights)
    light = np.clip(1.0 + 1.2 * (depths - depths.mean(axis=1, keepdims=True)), 0.7, 1.1)
    for person, (colors, options) in enumerate(zip(scene.colors, scene.options.tolist(), strict=True)):
        slots = 1 + person * NUM_SLOTS + parts.CAPSULE_SLOTS
        palette[slots] = colors[parts.choose_roles(tuple(options))] * light[person][:, None]
    for number, prop in enumerate(scene.props):
        palette[FIRST_PROP_LABEL + number] = prop.color
    return np.clip(np.rint(palette), 0, 255).astype(np.uint8)
