"""Content of one image: people of all sizes placed in a frame, their looks, and things in front of them.

A scene is a pure function of (settings, seed, index).  It is plain numbers: drawing them is up to
``rendering``.

Shape letters: F people (far to near), L landmarks, O options, R color roles.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.data.synthetic import figure, parts
from rtmo_plugin.data.synthetic.settings import SceneSettings
from rtmo_plugin.ops.arrays import pairwise_ioa

MAX_PROPS = 2

# BGR.  Clothes take any hue; skin, hair and shoes are chosen from these.
_SKINS = np.array([(180, 208, 240), (150, 185, 228), (122, 160, 212), (92, 130, 188), (64, 96, 150), (46, 68, 108)])
_HAIRS = np.array([(28, 28, 32), (36, 52, 78), (50, 84, 128), (92, 160, 206), (60, 74, 168), (150, 150, 156)])
_SHOES = np.array([(36, 36, 40), (232, 232, 232), (60, 70, 120), (60, 60, 190), (150, 90, 50)])
_OPTION_SHARES = np.array([0.40, 0.60, 0.12, 0.30, 0.18, 0.30, 0.50])
_NUM_PEOPLE_WEIGHTS = np.array([0.04, 0.25, 0.25, 0.18, 0.11, 0.07, 0.05, 0.03, 0.02])
_NUM_TRIES = 8
_MARGIN = 0.06  # of the standing height, around the landmarks: half the thickness of a limb


@dataclass(frozen=True)
class Prop:
    """A thing in front of the people: convex polygons, (V, 2) pixels each, of one color."""

    polygons: tuple[NDArray[Any], ...]
    color: NDArray[Any]


@dataclass(frozen=True)
class Scene:
    """One image as numbers.

    Attributes:
        settings: Settings that the scene was sampled with.
        landmarks: (F, L, 3) pixels; x right, y down, z towards the camera, 0 between the hips.
        heights: (F,) standing heights in pixels.
        colors: (F, R, 3) BGR.
        options: (F, O) booleans, what each person wears.
        props: Things in front of the people.
        ground_line: Row in pixels where wall or sky end and the ground begins.
        background_seed: Seed of the background.
    """

    settings: SceneSettings
    landmarks: NDArray[Any]
    heights: NDArray[Any]
    colors: NDArray[Any]
    options: NDArray[Any]
    props: tuple[Prop, ...]
    ground_line: float
    background_seed: tuple[int, ...]


def sample_scene(settings: SceneSettings, seed: int, index: int) -> Scene:
    """Return scene number ``index`` of the endless series ``seed``."""
    rng = np.random.default_rng((seed, index, 0))
    low, high = settings.num_people
    shares = np.cumsum(_NUM_PEOPLE_WEIGHTS[low : high + 1])
    num_people = low + int(np.searchsorted(shares[:-1], rng.random() * shares[-1]))
    smallest, largest = settings.height_range
    crowd_largest = max(smallest, largest * (1.0 - 0.09 * max(num_people - 2, 0)))
    typical = smallest * (crowd_largest / smallest) ** (rng.random() ** 0.6)
    sizes = np.clip(typical * (0.72 + 0.5 * rng.random(num_people)), smallest, largest)
    heights = np.sort(sizes) * min(settings.size_wh)  # ascending: the small ones are far away
    figures = figure.sample_figures(rng, num_people, settings.turned, settings.motion) * heights[:, None, None]
    horizon, slope = settings.size_wh[1] * (0.1 + 0.3 * rng.random()), 0.8 + 0.4 * rng.random()
    landmarks = _place_figures(rng, settings, figures, heights, horizon + slope * heights)
    colors, options = _sample_looks(rng, num_people)
    hidden = np.flatnonzero(rng.random(num_people) < 0.2 * settings.occlusion)[-MAX_PROPS:]
    props = tuple(_sample_prop(rng, landmarks[i], heights[i]) for i in hidden)
    farthest = settings.height_range[0] * min(settings.size_wh)
    ground_line = min(horizon + 0.9 * slope * farthest, 0.85 * settings.size_wh[1])
    return Scene(settings, landmarks, heights, colors, options, props, ground_line, (seed, index, 1))


def keep_people(scene: Scene, is_kept: NDArray[Any]) -> Scene:
    """Return the scene with the people where the mask (F,) is true."""
    people = {name: getattr(scene, name)[is_kept] for name in ("landmarks", "heights", "colors", "options")}
    return replace(scene, **people)


def _place_figures(
    rng: np.random.Generator,
    settings: SceneSettings,
    figures: NDArray[Any],
    heights: NDArray[Any],
    grounds: NDArray[Any],
) -> NDArray[Any]:
    """Move the figures to their places in the image, the nearest chosen first.

    Args:
        rng: Random number generator.
        settings: Settings with the size of the frame and the permitted occlusion.
        figures: Landmarks (F, L, 3), pixels, each figure around its own origin.
        heights: (F,) standing heights in pixels.
        grounds: (F,) rows that the feet would like to stand on.

    Returns:
        Landmarks (F, L, 3), pixels.
    """
    margin = _MARGIN * heights[:, None]
    top_left, bottom_right = figures[..., :2].min(axis=1) - margin, figures[..., :2].max(axis=1) + margin
    limits = settings.occlusion * rng.random(len(figures))
    offsets = np.zeros((len(figures), 2))
    taken = np.zeros((0, 4))
    for i in reversed(range(len(figures))):
        box = np.concatenate([top_left[i], bottom_right[i]])
        tries = _sample_offsets(rng, settings, box, grounds[i])
        boxes = box + np.tile(tries, 2)
        coverage = pairwise_ioa(taken, boxes).sum(0)
        best = np.argmax(coverage <= limits[i]) if (coverage <= limits[i]).any() else np.argmin(coverage)
        offsets[i], taken = tries[best], np.concatenate([taken, boxes[best : best + 1]])
    placed: NDArray[Any] = figures + np.concatenate([offsets, np.zeros((len(figures), 1))], axis=1)[:, None]
    return placed


def _sample_offsets(
    rng: np.random.Generator, settings: SceneSettings, box: NDArray[Any], ground: float
) -> NDArray[Any]:
    """Return places for a figure with bounds ``box`` (4,): shifts (tries, 2) in pixels.

    The feet stand on the ground, which is lower in the image for nearer people, unless that would
    leave the image.  Some people are then pushed over a border on purpose.
    """
    size_wh, extent = np.array(settings.size_wh), box[2:] - box[:2]
    free = np.maximum(size_wh - extent, 0.0)
    corner = rng.random((_NUM_TRIES, 2)) * free
    corner[:, 1] = np.clip(ground - extent[1] + 0.1 * (rng.random() - 0.5) * extent[1], 0.0, free[1])
    if rng.random() < settings.truncation:
        lost = extent * (0.1 + 0.4 * rng.random(2))
        border = rng.random() if extent[1] > 0.45 * size_wh[1] else 1.0  # the small ones must not float
        if border < 0.45:
            corner[:, 1] = size_wh[1] - extent[1] + lost[1]
        elif border < 0.55:
            corner[:, 1] = -0.6 * lost[1]
        else:
            corner[:, 0] = np.where(rng.random(_NUM_TRIES) < 0.5, -lost[0], size_wh[0] - extent[0] + lost[0])
    shifts: NDArray[Any] = corner - box[:2]
    return shifts


def _sample_looks(rng: np.random.Generator, num_people: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return colors (F, R, 3) and options (F, O)."""
    clothes = _sample_vivid_colors(rng, (num_people, 3))
    colors = dict(
        skin=_pick(rng, _SKINS, num_people),
        hair=_pick(rng, _HAIRS, num_people),
        shoes=_pick(rng, _SHOES, num_people),
        shirt=clothes[:, 0],
        trousers=clothes[:, 1] * 0.75,
        accent=clothes[:, 2],
        white=np.full((num_people, 3), 245.0),
        dark=np.full((num_people, 3), 25.0),
        lips=np.tile((70.0, 60.0, 170.0), (num_people, 1)),
    )
    options = rng.random((num_people, len(parts.OPTIONS))) < _OPTION_SHARES
    return np.stack([colors[role] for role in parts.ROLES], axis=1), options


def _pick(rng: np.random.Generator, colors: NDArray[Any], count: int) -> NDArray[Any]:
    """Return ``count`` of the colors, each a little lighter or darker."""
    chosen: NDArray[Any] = colors[rng.integers(len(colors), size=count)] * (0.9 + 0.2 * rng.random((count, 1)))
    return chosen


def _sample_vivid_colors(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return BGR colors of any hue, (*shape, 3): white, gray and black among them."""
    hue, saturation, value = 6.0 * rng.random(shape), rng.random(shape) ** 0.7, 70.0 + 175.0 * rng.random(shape)
    steps = (hue[..., None] + np.array([2.0, 4.0, 0.0])) % 6.0
    ramp = np.clip(np.abs(steps - 3.0) - 1.0, 0.0, 1.0)
    colors: NDArray[Any] = value[..., None] * (1.0 - saturation[..., None] * (1.0 - ramp))
    return colors


def _sample_prop(rng: np.random.Generator, landmarks: NDArray[Any], height: float) -> Prop:
    """Return a thing that hides some of the person with these landmarks (L, 3)."""
    color = _sample_vivid_colors(rng, ())
    (left, _), (right, bottom) = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    x, ground = left + rng.random() * (right - left), bottom + 0.06 * height
    kind = rng.random()
    if kind < 0.4:
        half_width, box_height = (0.15 + 0.25 * rng.random()) * height, (0.1 + 0.3 * rng.random()) * height
        return Prop((_trace_box(x, ground, half_width, box_height),), color)
    if kind < 0.7:
        return Prop((_trace_box(x, ground, 0.02 * height, 3.0 * height),), color)
    radii = (0.06 + 0.07 * rng.random(9)) * height
    centers = np.array([x, ground - 0.12 * height]) + (rng.random((9, 2)) - 0.5) * np.array([0.4, 0.25]) * height
    turns = np.linspace(0.0, 2 * np.pi, 12, endpoint=False)
    circle = np.stack([np.cos(turns), np.sin(turns)], axis=-1)
    green = np.array([50.0, 110.0, 60.0]) * (0.6 + 0.8 * rng.random())
    return Prop(tuple(center + radius * circle for center, radius in zip(centers, radii, strict=True)), green)


def _trace_box(x: float, ground: float, half_width: float, height: float) -> NDArray[Any]:
    """Return the corners (4, 2) of a box that stands on the ground."""
    left, right, top = x - half_width, x + half_width, ground - height
    return np.array([(left, top), (right, top), (right, ground), (left, ground)])
