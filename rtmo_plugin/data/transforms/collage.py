"""Several images on one canvas, of which only the visible part is drawn.

A mosaic of four images has four times the pixels of a training sample, and the view of the affine
transform that follows shows about one quarter of it.  So the mosaic only notes where each image
lies. The view is drawn from the images themselves with one interpolation per pixel, and an image outside
the view is not even decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]  # (3, 3), from pixel centers to pixel centers
Edges = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, eq=False)
class Tile:
    """One image on a canvas.

    Attributes:
        record: Record of the image, with ``img_shape`` and optionally ``img``.
        matrix: Matrix from pixels of the image to pixels of the canvas.
        crop: Part of the image, in its pixels, that lies on the canvas.
        is_joint: Whether another image adjoins at the left, top, right and bottom edge.
        load: Function that returns the record with ``img``.
    """

    record: Mapping[str, Any]
    matrix: Matrix
    crop: Edges
    is_joint: tuple[bool, bool, bool, bool] = (False, False, False, False)
    load: Callable[[dict[str, Any]], dict[str, Any]] = dict

    def read(self, pad_value: float) -> Image:
        """Return the cropped image with a border of one pixel, so that interpolation covers its edges.

        Where another image adjoins, the border repeats the edge; elsewhere it has the value of the canvas.

        Raises:
            DataError: The size of the decoded image differs from the size in its header.
        """
        image = self.record["img"] if "img" in self.record else self.load(dict(self.record))["img"]
        if image.shape[:2] != tuple(self.record["img_shape"][:2]):
            raise DataError(
                f"The image {self.record.get('img_path')} decodes to {image.shape[:2]} (height, width), but its "
                f"header says {tuple(self.record['img_shape'][:2])}: save the image again."
            )
        left, top, right, bottom = self.crop
        framed = np.asarray(
            cv2.copyMakeBorder(image[top:bottom, left:right], 1, 1, 1, 1, cv2.BORDER_REPLICATE), dtype=np.uint8
        )
        edges = (framed[:, 0], framed[0], framed[:, -1], framed[-1])
        for edge, is_joint in zip(edges, self.is_joint):
            if not is_joint:
                edge[:] = pad_value
        return framed


@dataclass(frozen=True, eq=False)
class Collage:
    """Tiles on a canvas: the ``img`` of a record between ``Mosaic`` and ``BottomupRandomAffine``."""

    tiles: tuple[Tile, ...]
    pad_value: float

    def draw(self, matrix: Matrix, size_wh: tuple[int, int]) -> Image:
        """Draw a view of the canvas.

        Args:
            matrix: Matrix from pixels of the canvas to pixels of the view.
            size_wh: Width and height of the view in pixels.

        Returns:
            (H, W, 3) uint8.
        """
        view = np.full((size_wh[1], size_wh[0], 3), self.pad_value, dtype=np.uint8)
        for tile in self.tiles:
            to_view = matrix @ tile.matrix @ _shift(tile.crop[0] - 1, tile.crop[1] - 1)
            # The rectangle of the view, right and bottom excluded, that the image with its border can cover.
            width, height = tile.crop[2] - tile.crop[0] + 1, tile.crop[3] - tile.crop[1] + 1  # centers of far pixels
            corners = to_view[:2, :2] @ np.array([[0, width, width, 0], [0, 0, height, height]]) + to_view[:2, 2:]
            left, top = (int(low) for low in np.maximum(np.floor(corners.min(axis=1)), 0))
            right, bottom = (int(high) for high in np.minimum(np.ceil(corners.max(axis=1)) + 1, size_wh))
            if left < right and top < bottom:
                cv2.warpAffine(
                    tile.read(self.pad_value),
                    (_shift(-left, -top) @ to_view)[:2],
                    (right - left, bottom - top),
                    dst=view[top:bottom, left:right],
                    flags=cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_TRANSPARENT,
                )
        return view


def wrap_image(record: Mapping[str, Any], pad_value: float) -> Collage:
    """Return the ``img`` of a record as a canvas: a ``Collage`` as it is, an image as its only tile."""
    image = record["img"]
    if isinstance(image, Collage):
        return image
    height, width = image.shape[:2]
    return Collage((Tile({**record, "img_shape": image.shape}, np.eye(3), (0, 0, width, height)),), pad_value)


def find_fit(image: Image, size_wh: Sequence[int]) -> float:
    """Return the largest scale at which an image fits into a size."""
    return min(size_wh[0] / image.shape[1], size_wh[1] / image.shape[0])


def make_resize_matrix(scale_xy: tuple[float, float], shift_xy: tuple[float, float]) -> Matrix:
    """Return the matrix that resizes an image (edges to edges) and then shifts it."""
    (scale_x, scale_y), (x, y) = scale_xy, shift_xy
    return np.array([[scale_x, 0, scale_x / 2 - 0.5 + x], [0, scale_y, scale_y / 2 - 0.5 + y], [0, 0, 1.0]])


def _shift(x: float, y: float) -> Matrix:
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])
