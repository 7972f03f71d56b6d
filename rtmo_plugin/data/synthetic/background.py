"""Rooms, streets and meadows behind the people, and the light over all.

Nothing here is labeled.  Colors are BGR, coordinates pixels.  The functions called ``_draw_...``
paint on the image they are given: it is their canvas.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_NUM_THINGS = 14  # at clutter 1
_FRACTION_BITS = 4


def draw_background(rng: np.random.Generator, size_wh: tuple[int, int], horizon: int, clutter: float) -> NDArray[Any]:
    """Return a background, (H, W, 3) uint8 BGR."""
    width, height = size_wh
    image = np.empty((height, width, 3), np.uint8)
    kind = rng.random()
    if kind < 0.4:
        _draw_room(rng, image, horizon, clutter)
    elif kind < 0.7:
        _draw_street(rng, image, horizon, clutter)
    else:
        _draw_meadow(rng, image, horizon, clutter)
    for _ in range(int(_NUM_THINGS * clutter * rng.random() + clutter)):
        _draw_thing(rng, image, horizon)
    return image


def add_light(rng: np.random.Generator, image: NDArray[Any]) -> NDArray[Any]:
    """Return the image under uneven light and with the noise of a camera."""
    height, width = image.shape[:2]
    light = cv2.resize(rng.integers(92, 148, (3, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    lit = cv2.multiply(image, cv2.merge([light] * 3), scale=1 / 128)
    strength = int(rng.integers(1, 7))
    fine = np.frombuffer(rng.bytes(width * height), np.uint8).reshape(height, width)
    grains = rng.integers(0, 256, (height // 6 + 1, width // 6 + 1), dtype=np.uint8)
    coarse = cv2.resize(grains, (width, height), interpolation=cv2.INTER_LINEAR)
    noise = cv2.merge([cv2.addWeighted(fine, 0.5, coarse, 0.5, 0.0)] * 3)
    # Shares of 1/64 keep the sums exact in float32, so that every OpenCV rounds alike.
    return cv2.addWeighted(lit, 1.0, noise, strength / 64, -2.0 * strength)


def _pick_color(rng: np.random.Generator, low: int = 50, high: int = 225, tint: int = 40) -> NDArray[Any]:
    """Return a muted color: a gray with up to ``tint`` added to or taken from each channel."""
    return np.clip(low + (high - low) * rng.random() + tint * (2.0 * rng.random(3) - 1.0), 0.0, 255.0)


def _draw_gradient(image: NDArray[Any], top: int, bottom: int, first: NDArray[Any], last: NDArray[Any]) -> None:
    """Fill rows ``top`` to ``bottom`` with colors from ``first`` to ``last``."""
    if bottom <= top:
        return
    share = np.linspace(0.0, 1.0, bottom - top)[:, None, None]
    column = np.clip(first + share * (last - first), 0, 255).astype(np.uint8)
    image[top:bottom] = cv2.resize(column, (image.shape[1], bottom - top), interpolation=cv2.INTER_NEAREST)


def _draw_room(rng: np.random.Generator, image: NDArray[Any], horizon: int, clutter: float) -> None:
    """Draw wall and floor."""
    height, width = image.shape[:2]
    wall, floor = _pick_color(rng, 90), _pick_color(rng, 50, 170)
    _draw_gradient(image, 0, horizon, wall * 0.85, wall)
    _draw_gradient(image, horizon, height, floor * 0.75, floor * 1.15)
    if rng.random() < clutter:
        _draw_stripes(rng, image[:horizon], wall)
    if rng.random() < clutter + 0.3:
        _draw_floor_lines(rng, image, horizon, floor * 0.6)
    for _ in range(int(3 * rng.random() + 0.5)):
        _draw_window(rng, image, horizon)
    cv2.rectangle(image, (0, horizon - height // 60), (width, horizon), _as_scalar(wall * 0.6), -1)


def _draw_street(rng: np.random.Generator, image: NDArray[Any], horizon: int, clutter: float) -> None:
    """Draw sky, houses with windows and pavement."""
    height, width = image.shape[:2]
    _draw_gradient(image, 0, horizon, np.array([230, 180, 130]), np.array([235, 220, 210]))
    ground = _pick_color(rng, 80, 160, 12)
    _draw_gradient(image, horizon, height, ground * 0.8, ground * 1.2)
    left = 0
    while left < width:
        right = left + int(width * (0.15 + 0.3 * rng.random()))
        top = int(horizon * 0.8 * rng.random())
        color = _pick_color(rng, 60, 200)
        cv2.rectangle(image, (left, top), (right, horizon), _as_scalar(color), -1)
        if rng.random() < 0.4 + clutter:
            _draw_panes(rng, image, (left, top, right, horizon), color)
        left = right + 1
    _draw_floor_lines(rng, image, horizon, ground * 0.75)


def _draw_meadow(rng: np.random.Generator, image: NDArray[Any], horizon: int, clutter: float) -> None:
    """Draw sky, hills, trees and grass."""
    height, width = image.shape[:2]
    _draw_gradient(image, 0, horizon, np.array([235, 170, 110]), np.array([240, 225, 205]))
    green = np.array([60, 130, 90]) + rng.integers(-30, 31, 3)
    for shade in (0.75, 0.9):
        center = (int(width * rng.random()), horizon + height // 20)
        axes = (int(width * (0.4 + 0.4 * rng.random())), int(horizon * (0.2 + 0.4 * rng.random())))
        cv2.ellipse(image, center, axes, 0, 180, 360, _as_scalar(green * shade), -1, cv2.LINE_AA)
    _draw_gradient(image, horizon, height, green * 0.9, green * 1.25)
    for _ in range(int(6 * clutter * rng.random() + 0.5)):
        _draw_tree(rng, image, horizon, green)
    for x, y in rng.integers((0, horizon), (width, height), (int(60 * clutter), 2)):
        tip = (int(x) + int(rng.integers(-3, 4)), int(y) - height // 40)
        cv2.line(image, (int(x), int(y)), tip, _as_scalar(green * 0.7), 1, cv2.LINE_AA)


def _draw_stripes(rng: np.random.Generator, wall: NDArray[Any], color: NDArray[Any]) -> None:
    """Draw wallpaper or bricks on a wall."""
    height, width = wall.shape[:2]
    step = int(rng.integers(8, 40))
    other = _as_scalar(np.clip(color + rng.integers(-35, 36, 3), 0, 255))
    for x in range(0, width, step):
        cv2.rectangle(wall, (x, 0), (x + step // 2, height), other, -1)
    if rng.random() < 0.5:
        for y in range(0, height, max(step // 2, 6)):
            cv2.line(wall, (0, y), (width, y), _as_scalar(color * 0.8), 1)


def _draw_floor_lines(rng: np.random.Generator, image: NDArray[Any], horizon: int, color: NDArray[Any]) -> None:
    """Draw joints of boards or flagstones that run to a vanishing point."""
    height, width = image.shape[:2]
    vanishing_x = width * rng.random()
    for x in np.linspace(-width, 2 * width, int(rng.integers(8, 30))):
        start = (int(0.7 * vanishing_x + 0.3 * x), horizon)
        cv2.line(image, start, (int(2.2 * x - 1.2 * vanishing_x), height), _as_scalar(color), 1, cv2.LINE_AA)
    if rng.random() < 0.5:
        for share in np.linspace(0.1, 1.0, 6) ** 2:
            y = int(horizon + share * (height - horizon))
            cv2.line(image, (0, y), (width, y), _as_scalar(color), 1)


def _draw_window(rng: np.random.Generator, image: NDArray[Any], horizon: int) -> None:
    """Draw a window or a picture on the wall."""
    width = image.shape[1]
    left, top = int(width * rng.random()), int(horizon * 0.6 * rng.random())
    right, bottom = left + int(width * (0.1 + 0.2 * rng.random())), top + int(horizon * (0.2 + 0.3 * rng.random()))
    frame, inside = _as_scalar(_pick_color(rng)), _as_scalar(_pick_color(rng, 100, 240, 60))
    cv2.rectangle(image, (left, top), (right, bottom), frame, -1)
    border = 1 + width // 80
    cv2.rectangle(image, (left + border, top + border), (right - border, bottom - border), inside, -1)
    if rng.random() < 0.5:
        middle = (left + right) // 2
        cv2.line(image, (middle, top), (middle, bottom), frame, border)


def _draw_panes(
    rng: np.random.Generator, image: NDArray[Any], box: tuple[int, int, int, int], wall: NDArray[Any]
) -> None:
    """Draw rows of windows on a house."""
    left, top, right, bottom = box
    step = max(int((right - left) / rng.integers(2, 6)), 6)
    glass = _as_scalar(wall * (0.5 if rng.random() < 0.7 else 1.25))
    for x in range(left + step // 4, right - step // 2, step):
        for y in range(top + step // 4, bottom - step // 2, int(step * 1.3)):
            cv2.rectangle(image, (x, y), (x + step // 2, y + int(step * 0.7)), glass, -1)


def _draw_tree(rng: np.random.Generator, image: NDArray[Any], horizon: int, green: NDArray[Any]) -> None:
    """Draw a trunk with a crown of discs."""
    height, width = image.shape[:2]
    size, x = height * (0.08 + 0.15 * rng.random()), int(width * rng.random())
    foot = int(horizon + 0.1 * height * rng.random())
    top = int(foot - 1.6 * size)
    cv2.line(image, (x, foot), (x, top), (45, 70, 95), max(int(size / 6), 1))
    for dx, dy, share in rng.random((6, 3)) - 0.5:
        center = (int(x + dx * 1.4 * size), int(top + dy * size))
        leaves = _as_scalar(green * (0.7 + 0.4 * share))
        cv2.circle(image, center, int(size * (0.45 + 0.3 * share)), leaves, -1, cv2.LINE_AA)


def _draw_thing(rng: np.random.Generator, image: NDArray[Any], horizon: int) -> None:
    """Draw a box, a ball, a post or a heap of anything somewhere on the ground."""
    height, width = image.shape[:2]
    foot = np.array([width * rng.random(), horizon + (height - horizon) * rng.random() ** 1.5])
    size, color, kind = height * (0.03 + 0.14 * rng.random()), _pick_color(rng, 40, 230, 80), rng.random()
    if kind < 0.35:
        half_width, top = size * (0.25 + 0.5 * rng.random()), size * (0.4 + rng.random())
        outline = np.array([(-half_width, -top), (half_width, -top), (half_width, 0.0), (-half_width, 0.0)])
    elif kind < 0.6:
        turns = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
        outline = size / 2 * (np.stack([np.cos(turns), np.sin(turns)], axis=-1) - (0.0, 1.0))
    elif kind < 0.8:
        lean, top, half_width = size * 0.3 * (rng.random() - 0.5), size * (2 + 3 * rng.random()), size / 10 + 1
        outline = np.array(
            [(-half_width, 0.0), (half_width, 0.0), (half_width + lean, -top), (lean - half_width, -top)]
        )
    else:
        corners = ((rng.random((6, 2)) - (0.5, 1.0)) * size * 1.6).astype(np.float32)
        outline = cv2.convexHull(corners)[:, 0]
    _fill_outlined(image, foot + outline, color)


def _fill_outlined(image: NDArray[Any], polygon: NDArray[Any], color: NDArray[Any]) -> None:
    """Draw a convex polygon (V, 2) with a dark rim.

    Both are filled: each version of OpenCV clips thick lines in its own way.
    """
    middle = polygon.mean(axis=0)
    for share, shade in ((1.0, 0.6), (0.85, 1.0)):
        corners = np.rint((middle + share * (polygon - middle)) * 2**_FRACTION_BITS).astype(np.int32)
        cv2.fillConvexPoly(image, corners, _as_scalar(color * shade), cv2.LINE_AA, _FRACTION_BITS)


def _as_scalar(color: NDArray[Any]) -> tuple[float, ...]:
    """Return a color as OpenCV takes it."""
    return tuple(min(max(channel, 0.0), 255.0) for channel in color.tolist())
