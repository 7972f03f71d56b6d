"""Synthetic images by their address, as if they were files.

``DrawSyntheticImage`` takes the place of ``LoadImage`` in a pipeline.  The file backend lets
everything in MMEngine that reads images from a path (``LoadImage`` itself, the visualization hook)
find them too.
"""

from typing import Any

import cv2
from mmcv.transforms import BaseTransform
from mmengine.fileio import BaseStorageBackend, register_backend
from numpy.typing import NDArray

from rtmo_plugin.data.synthetic.annotation import sample_visible_scene
from rtmo_plugin.data.synthetic.rendering import draw_image
from rtmo_plugin.data.synthetic.settings import ADDRESS_SCHEME, parse_address
from rtmo_plugin.registry import TRANSFORMS


def draw_image_at(address: str) -> NDArray[Any]:
    """Return the image, (H, W, 3) uint8 BGR, that ``format_address`` gave this address.

    Raises:
        DataError: The address is not one of a synthetic image.

    Examples:
        >>> from rtmo_plugin.data.synthetic.settings import SceneSettings, format_address
        >>> draw_image_at(format_address(SceneSettings(size_wh=(96, 64)), seed=0, index=3)).shape
        (64, 96, 3)
    """
    return draw_image(*sample_visible_scene(*parse_address(address)))


@TRANSFORMS.register_module()
class DrawSyntheticImage(BaseTransform):
    """Draws the image of a record of ``SyntheticPeople``, where other datasets use ``LoadImage``.

    Draws what ``img_path`` names unless ``img`` is there already (the dataset's ``cache``), and sets
    ``img``, ``img_shape`` and ``ori_shape``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with its image, (H, W, 3) uint8 BGR.

        Raises:
            DataError: ``img_path`` is not the address of a synthetic image.
        """
        image = results["img"] if "img" in results else draw_image_at(results["img_path"])
        return {**results, "img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2]}

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@register_backend(ADDRESS_SCHEME, prefixes=ADDRESS_SCHEME)
class SyntheticImageBackend(BaseStorageBackend):
    """Reads the address of a synthetic image as if it were a PNG file."""

    def get(self, filepath: str) -> bytes:
        """Return the PNG file (lossless) of the image at this address."""
        return cv2.imencode(".png", draw_image_at(filepath))[1].tobytes()

    def get_text(self, filepath: str, encoding: str = "utf-8") -> str:
        """Raise ``ValueError``: an image is not text."""
        raise ValueError(f"{filepath} is a synthetic image, which cannot be read as {encoding} text.")
