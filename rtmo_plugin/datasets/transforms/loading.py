"""Images from files: looked at before they are decoded, and decoded once where memory allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmcv.transforms import BaseTransform
from PIL import Image

from rtmo_plugin.datasets.transforms.image_cache import find_cache
from rtmo_plugin.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """MMPose's transform of this name, with a cache of decoded images.

    All loaders of a process and of its data loader's workers share one cache.

    Args:
        cache_bytes: How much memory decoded images may take in all, for each training process; 0 for
            no cache.  Images are kept until it is full, and none of them is ever dropped: with random
            access no other choice has more hits.  Cached images cannot be written to.
        **options: Of MMPose's ``LoadImage``.

    Raises:
        ConfigError: ``cache_bytes`` is negative, or there is no room for so much.
    """

    def __init__(self, cache_bytes: int = 0, **options: Any) -> None:
        self._decode = TRANSFORMS.build({"type": "mmpose.LoadImage", **options})
        self._has_options = bool(options)
        self._cache = find_cache(cache_bytes)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Return the record with ``img`` (H, W, 3), ``img_shape`` and ``ori_shape`` (height, width).

        Args:
            results: A record with ``img_path``, or with ``img`` already.
        """
        if "img" in results:
            return self._decode(dict(results))
        image = self._cache.find(results["img_path"])
        if image is not None:
            return {**results, "img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2]}
        loaded = self._decode(dict(results))
        if loaded is not None:
            self._cache.add(results["img_path"], loaded["img"])
        return loaded

    def glance(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the record with ``img_shape``, and with ``img`` only if it takes that to know the shape.

        Args:
            results: As of ``transform``.
        """
        if "img" not in results and not self._has_options:
            shape = self._cache.find_shape(results["img_path"]) or read_jpeg_shape(results["img_path"])
            if shape:
                return {**results, "img_shape": shape, "ori_shape": shape}
        return self.transform(results)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(cache_bytes={self._cache.max_bytes})"


def read_jpeg_shape(path: str) -> tuple[int, int] | None:
    """Return height and width of a JPEG file from its header; None for any other file.

    None, too, if there is an EXIF header: OpenCV may turn such an image.
    """
    if not Path(path).is_file():
        return None
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            return None if "exif" in image.info else image.size[::-1]
    except OSError:  # another format, or cut short: decoding it says so, with its name
        return None
