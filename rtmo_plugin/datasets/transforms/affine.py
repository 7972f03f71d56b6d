"""Rotation, scale, shear and shift in one warp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from rtmo_plugin.datasets.transforms.chance import draw_signed, toss
from rtmo_plugin.datasets.transforms.collage import Matrix, wrap_image
from rtmo_plugin.datasets.transforms.people import clip_people, warp_people
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.registry import TRANSFORMS

# How many random values each needs, in the order of MMPose's transform.
_SIZES = {"shift": 2, "scale": 1, "rotate": 1, "shear": 2}


@TRANSFORMS.register_module()
class BottomupRandomAffine(BaseTransform):
    """Draw a randomly moved view of an image or a mosaic.

    As MMPose's transform of this name with ``transform_mode="perspective"`` (which knows no
    perspective), ``distribution="uniform"``, ``bbox_keep_corner=False`` and ``clip_border=True``, with
    the same random numbers.  The view begins at the canvas's origin: of a mosaic it shows about the
    first quarter.

    Args:
        input_size: Width and height of the view.
        shift_factor: Largest shift, relative to ``input_size``.
        rotate_factor: Largest rotation, degrees.
        scale_factor: Least and largest scale.
        shear_factor: Largest shear, degrees.
        shift_prob: How often there is a shift.
        rotate_prob: How often there is a rotation.
        scale_prob: How often the scale differs from 1.
        shear_prob: How often there is a shear.
        pad_val: Grey value beside the image; a mosaic has its own.

    Raises:
        ConfigError: A probability outside 0..1, or a scale that is not positive.
    """

    def __init__(  # noqa: PLR0913  (the schema of a config: every field but one has a default)
        self,
        input_size: tuple[int, int],
        *,
        shift_factor: float = 0.2,
        rotate_factor: float = 30.0,
        scale_factor: tuple[float, float] = (0.75, 1.5),
        shear_factor: float = 2.0,
        shift_prob: float = 1.0,
        rotate_prob: float = 1.0,
        scale_prob: float = 1.0,
        shear_prob: float = 1.0,
        pad_val: float = 0,
    ) -> None:
        if not 0 < scale_factor[0] <= scale_factor[1]:
            raise ConfigError(f"scale_factor of an affine must be two positive numbers in order, got {scale_factor}.")
        self.probs = {"shift": shift_prob, "scale": scale_prob, "rotate": rotate_prob, "shear": shear_prob}
        for name, prob in self.probs.items():
            if not 0 <= prob <= 1:
                raise ConfigError(f"{name}_prob of an affine must be between 0 and 1, got {prob}.")
        self.input_size, self.pad_val = tuple(input_size), pad_val
        self.scale_factor, self.shift_factor = tuple(scale_factor), shift_factor
        self.rotate_factor, self.shear_factor = rotate_factor, shear_factor

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with the view as ``img``, its people moved and clipped, and ``warp_mat``.

        Args:
            results: A record whose ``img`` is (H, W, 3) uint8 or a ``Collage``.
        """
        matrix = self._draw_matrix()
        image = wrap_image(results, self.pad_val).draw(matrix, self.input_size)
        people = clip_people(warp_people(results, matrix), self.input_size)
        moved = {"img": image, "img_shape": image.shape, "input_size": self.input_size, "warp_mat": matrix}
        return {**results, **people, **moved}

    def _draw_matrix(self) -> Matrix:
        """Return a random matrix, from random numbers in the order of MMPose's transform."""
        shift, scale, rotation, shear = (self._draw(name, size) for name, size in _SIZES.items())
        low, high = self.scale_factor
        return make_affine(
            self.input_size,
            shift_xy=shift * self.shift_factor * self.input_size,
            scale=low + (high - low) * (scale[0] + 1) / 2 if len(scale) else 1.0,
            rotation=rotation.sum() * self.rotate_factor,
            shear_xy=shear * self.shear_factor,
        )

    def _draw(self, name: str, size: int) -> np.ndarray:
        """Return random values within -1..1, or none (of scale) or zeros if a first random number says so."""
        if toss(self.probs[name]):
            return draw_signed(size)
        return np.zeros(0 if name == "scale" else size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(input_size={self.input_size}, scale_factor={self.scale_factor})"


def make_affine(
    size_wh: Sequence[int], *, shift_xy: np.ndarray, scale: float, rotation: float, shear_xy: np.ndarray
) -> Matrix:
    """Return the (3, 3) matrix that scales, rotates and shears around the middle of a view, then shifts.

    Args:
        size_wh: Of the view.
        shift_xy: Pixels.
        scale: Above 1 enlarges.
        rotation: Degrees, clockwise as y points down.
        shear_xy: Degrees.

    Example:
        >>> still = {"rotation": 0, "shear_xy": np.zeros(2)}
        >>> make_affine((64, 32), shift_xy=np.array([5, 0]), scale=2, **still)[:2]
        array([[  2.,   0., -27.],
               [  0.,   2., -16.]])
    """
    middle = np.array(size_wh) / 2
    cosine, sine = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    tangent_x, tangent_y = np.tan(np.radians(shear_xy))
    shear = np.array([[1, tangent_x], [tangent_y, 1]])
    matrix = np.eye(3)
    matrix[:2, :2] = scale * shear @ np.array([[cosine, -sine], [sine, cosine]])
    matrix[:2, 2] = middle + shift_xy - matrix[:2, :2] @ middle
    return matrix
