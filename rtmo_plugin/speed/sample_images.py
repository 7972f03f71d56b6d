"""Images to measure with: a user's own, or noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rtmo_plugin.media.drawing import Image
from rtmo_plugin.media.image_files import list_images
from rtmo_plugin.media.images import read_image

NOISE_SIZE_WH = (640, 480)  # the most common size in COCO


def make_noise(size_wh: tuple[int, int] = NOISE_SIZE_WH, seed: int = 0) -> Image:
    """Return an image of noise, (H, W, 3) uint8."""
    width, height = size_wh
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def read_samples(images: str | Path | None, number: int) -> list[Image]:
    """Return images in memory.

    Args:
        images: Image or folder, whose first images by name are read. Default: images of noise.
        number: Largest number of images.

    Raises:
        UserError: Images are missing, or one cannot be read.
    """
    if images is None:
        return [make_noise(seed=seed) for seed in range(number)]
    return [read_image(path) for path in list_images(images)[:number]]
