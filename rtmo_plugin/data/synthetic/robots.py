"""An example of a data set with its own keypoints: drawn robots with five keypoints, two classes and LabelMe files.

docs/custom-data.md goes from such a folder of labeled images to a trained model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import write_json
from rtmo_plugin.media.image_files import write_image

CLASSES = ("round_robot", "square_robot")
KEYPOINTS = ("head", "left_hand", "right_hand", "left_foot", "right_foot")
_MAX_ROBOTS = 3
_NUM_TRIES = 8
# Of the body's height, from its middle: the radius of the body, where arms and legs begin, the limbs' width.
_BODY, _HEAD, _LIMB = 0.2, 0.12, 0.06
_SHOULDERS, _HIPS = (0.14, -0.12), (0.1, 0.16)


@dataclass(frozen=True)
class Robot:
    """One robot: a class, a height and a color, and its keypoints (5, 2) in pixels, as ``KEYPOINTS`` has them."""

    label: int
    height: float
    color: tuple[int, int, int]
    middle: NDArray[Any]
    keypoints: NDArray[Any]


def draw_robots(seed: int, index: int, size_wh: tuple[int, int] = (192, 192)) -> tuple[NDArray[Any], list[Any]]:
    """Return image number ``index`` of the series ``seed``, and its labels.

    Returns:
        The image, (H, W, 3) uint8 BGR, and the shapes of a LabelMe file.
    """
    rng = np.random.default_rng([seed, index])
    width, height = size_wh
    coarse = rng.integers(90, 200, (5, 5, 1)) + rng.integers(-12, 13, (5, 5, 3))
    image = cv2.resize(coarse.astype(np.float32), size_wh, interpolation=cv2.INTER_CUBIC)
    image = np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)
    owners = np.zeros((height, width), np.uint8)
    robots: list[Robot] = []
    for _ in range(int(rng.integers(1, _MAX_ROBOTS + 1))):
        robot = _find_place(rng, size_wh, robots)
        if robot:
            robots.append(robot)
            _paint(image, robot, robot.color)
            _paint(owners, robot, len(robots))
    return image, [shape for number, robot in enumerate(robots, 1) for shape in _label(robot, number, owners)]


def write_robots(folder: str | Path, num_images: int, seed: int = 0) -> Iterator[Path]:
    """Write images and, beside each, its LabelMe file.

    Yields:
        The path of each image.

    Raises:
        DataError: The folder is not empty.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise DataError(f"{target} is not empty: choose another folder.")
    for index in range(num_images):
        image, shapes = draw_robots(seed, index)
        path = target / f"{index:04d}.jpg"
        write_image(path, image)
        document: dict[str, Any] = {
            "version": "5.0.0", "flags": {}, "shapes": shapes, "imagePath": path.name, "imageData": None,
            "imageHeight": image.shape[0], "imageWidth": image.shape[1],
        }  # fmt: skip
        write_json(path.with_suffix(".json"), document)
        yield path


def _find_place(rng: np.random.Generator, size_wh: tuple[int, int], others: list[Robot]) -> Robot | None:
    """Return a robot that stands away from the others, or None if it does not fit."""
    for _ in range(_NUM_TRIES):
        height = rng.uniform(0.35, 0.7) * size_wh[1]
        middle = rng.uniform(0.15, 0.85, 2) * size_wh
        if all(np.linalg.norm(middle - other.middle) > 0.3 * (height + other.height) for other in others):
            return _make_robot(rng, middle, height)
    return None


def _make_robot(rng: np.random.Generator, middle: NDArray[Any], height: float) -> Robot:
    hands = [(side * rng.uniform(0.28, 0.42), rng.uniform(-0.4, 0.3)) for side in (1, -1)]
    feet = [(side * rng.uniform(0.06, 0.24), rng.uniform(0.42, 0.5)) for side in (1, -1)]
    points = np.array([(0.0, -0.34), *hands, *feet])  # it faces us: its left is on the right
    angle = rng.normal(0, 0.12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shade = np.array(
        [[[rng.integers(180), rng.integers(160, 256), rng.integers(110, 256)]]], np.uint8
    )  # hue, saturation, value
    blue, green, red = cv2.cvtColor(shade, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return Robot(int(rng.integers(2)), height, (blue, green, red), middle, middle + height * points @ turn.T)


def _paint(canvas: NDArray[Any], robot: Robot, color: Any) -> None:
    """Draw a robot onto an image in its color, or onto a map in its number."""
    unit, (x, y) = robot.height, robot.middle

    def place(point: Any) -> tuple[int, int]:
        return round(float(point[0])), round(float(point[1]))

    limb = max(2, round(_LIMB * unit))
    joints = [(side * dx, dy) for dx, dy in (_SHOULDERS, _HIPS) for side in (1, -1)]
    for (dx, dy), end in zip(joints, robot.keypoints[1:]):
        cv2.line(canvas, place((x + dx * unit, y + dy * unit)), place(end), color, limb)
        cv2.circle(canvas, place(end), limb, color, -1)
    cv2.line(canvas, place((x, y)), place(robot.keypoints[0]), color, limb)
    for middle, reach in ((robot.keypoints[0], _HEAD * unit), (robot.middle, _BODY * unit)):
        if CLASSES[robot.label] == "round_robot":
            cv2.circle(canvas, place(middle), round(reach), color, -1)
        else:
            cv2.rectangle(canvas, place(middle - reach), place(middle + reach), color, -1)


def _label(robot: Robot, number: int, owners: NDArray[Any]) -> Iterator[dict[str, Any]]:
    """Yield a robot's box and keypoints as LabelMe has them; what lies outside the image has no label."""
    height, width = owners.shape
    left, top, box_width, box_height = cv2.boundingRect((owners == number).astype(np.uint8))
    if not box_width:
        return
    corners = [[left, top], [left + box_width, top + box_height]]
    yield _make_shape("rectangle", CLASSES[robot.label], corners, number)
    for name, (x, y) in zip(KEYPOINTS, robot.keypoints.round(2).tolist()):
        if 0 <= x <= width - 1 and 0 <= y <= height - 1:
            is_hidden = owners[round(y), round(x)] != number
            yield _make_shape("point", name, [[x, y]], number, {"occluded": True} if is_hidden else {})


def _make_shape(kind: str, label: str, points: list[Any], group: int, flags: dict[str, bool] | None = None) -> Any:
    return {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": flags or {}}
