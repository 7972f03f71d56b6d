"""Random rotation, scale, shear and shift in one warp."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from rtmo_plugin.data.transforms.collage import Matrix, wrap_image
from rtmo_plugin.data.transforms.global_rng import coin_flip, draw_signed
from rtmo_plugin.data.transforms.person_labels import clip_people, warp_people
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.registry import TRANSFORMS

# Number of random values for each, in the order in which MMPose's transform draws them.
_SIZES = {"shift": 2, "scale": 1, "rotate": 1, "shear": 2}
# The values of MMPose's options that this transform has; MMPose's own transform has others as well.
_FIXED = {"distribution": "uniform", "transform_mode": "perspective", "bbox_keep_corner": False, "clip_border": True}
_SCALE_TYPES = ("long", "short")


@TRANSFORMS.register_module()
class BottomupRandomAffine(BaseTransform):
    """Draw a random view of an image or a mosaic.

    Equal to MMPose's transform of this name with ``transform_mode="perspective"`` (which knows no
    perspective), ``distribution="uniform"``, ``bbox_keep_corner=False`` and ``clip_border=True``, with
    the same random numbers.  The view starts at the origin of the canvas, so it shows about the first quarter of a
    mosaic.

    Args:
        input_size: Width and height of the view in pixels.
        shift_factor: Largest shift, relative to ``input_size``.
        rotate_factor: Largest rotation in degrees.
        scale_factor: Smallest and largest scale.
        shear_factor: Largest shear in degrees.
        shift_prob: Probability of a shift.
        rotate_prob: Probability of a rotation.
        scale_prob: Probability of a scale other than 1.
        shear_prob: Probability of a shear.
        scale_type: ``long`` or ``short``; without effect, as in MMPose where ``transform_mode`` is ``"perspective"``.
        use_udp: Without effect, as in MMPose, where ``transform_mode`` decides.
        pad_val: Gray value around the image, or one value per channel; a mosaic has its own.
        border: Without effect, as in MMPose.
        distribution: ``"uniform"``; MMPose's other values are not supported.
        transform_mode: ``"perspective"``; MMPose's other values are not supported.
        bbox_keep_corner: False; True is not supported.
        clip_border: True; False is not supported.

    Raises:
        ConfigError: A probability outside 0..1, a scale that is not positive, or a value that only MMPose's
            transform supports.
    """

    def __init__(  # noqa: PLR0913, PLR0917  (the schema of a config: every field but one has a default)
        self,
        input_size: tuple[int, int],
        shift_factor: float = 0.2,
        shift_prob: float = 1.0,
        scale_factor: tuple[float, float] = (0.75, 1.5),
        scale_prob: float = 1.0,
        scale_type: str = "short",
        rotate_factor: float = 30.0,
        rotate_prob: float = 1.0,
        shear_factor: float = 2.0,
        shear_prob: float = 1.0,
        use_udp: bool = False,
        pad_val: float | Sequence[float] = 0,
        border: tuple[int, int] = (0, 0),
        distribution: str = "uniform",
        transform_mode: str = "perspective",
        bbox_keep_corner: bool = False,
        clip_border: bool = True,
    ) -> None:
        options = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        _check(options)
        for name, value in options.items():  # under MMPose's names
            setattr(self, name, value)
        self.input_size, self.scale_factor = (input_size[0], input_size[1]), tuple(scale_factor)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with the view as ``img``, its people moved and clipped, ``input_size`` and ``warp_mat``.

        ``img_shape`` stays that of the whole image or canvas, from which ``warp_mat`` (2, 3) leads to the view.

        Args:
            results: Record whose ``img`` is (H, W, 3) uint8 or a ``Collage``.
        """
        matrix = self._draw_matrix()
        image = wrap_image(results, self.pad_val).draw(matrix, self.input_size)
        people = clip_people(warp_people(results, matrix), self.input_size)
        moved = {"img": image, "input_size": self.input_size, "warp_mat": matrix[:2]}
        return {**results, **people, **moved}

    def _draw_matrix(self) -> Matrix:
        """Return a random matrix, from random numbers in the order of MMPose's transform."""
        shift, scale, rotation, shear = (
            draw_signed(size) if coin_flip(getattr(self, f"{name}_prob")) else np.zeros(0 if name == "scale" else size)
            for name, size in _SIZES.items()
        )
        low, high = self.scale_factor
        return make_affine(
            self.input_size,
            shift_xy=shift * self.shift_factor * self.input_size,
            scale=low + (high - low) * (scale[0] + 1) / 2 if len(scale) else 1.0,
            rotation=rotation.sum() * self.rotate_factor,
            shear_xy=shear * self.shear_factor,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(input_size={self.input_size}, scale_factor={self.scale_factor})"


def _check(options: Mapping[str, Any]) -> None:
    """Raise a ``ConfigError`` if an option has a value that this transform does not support."""
    for name, value in _FIXED.items():
        if options[name] != value:
            raise ConfigError(
                f"rtmo_plugin.BottomupRandomAffine has no {name}={options[name]!r}, only {value!r}: use MMPose's "
                "transform, type='BottomupRandomAffine', for other values."
            )
    scale_type, scale_factor = options["scale_type"], options["scale_factor"]
    if scale_type not in _SCALE_TYPES:
        raise ConfigError(
            f"scale_type of BottomupRandomAffine must be {' or '.join(_SCALE_TYPES)}, got {scale_type!r}."
        )
    if not 0 < scale_factor[0] <= scale_factor[1]:
        raise ConfigError(
            f"scale_factor of BottomupRandomAffine must be two positive numbers, the smaller first, got {scale_factor}."
        )
    for name in _SIZES:
        if not 0 <= options[f"{name}_prob"] <= 1:
            raise ConfigError(
                f"{name}_prob of BottomupRandomAffine must be between 0 and 1, got {options[f'{name}_prob']}."
            )


def make_affine(
    size_wh: Sequence[int],
    *,
    shift_xy: NDArray[np.float64],
    scale: float,
    rotation: float,
    shear_xy: NDArray[np.float64],
) -> Matrix:
    """Return the (3, 3) matrix that scales, rotates and shears around the middle of a view, then shifts.

    Args:
        size_wh: Width and height of the view in pixels.
        shift_xy: Shift in pixels.
        scale: Scale; above 1 enlarges.
        rotation: Rotation in degrees, clockwise as y points down.
        shear_xy: Shear in degrees.

    Examples:
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
