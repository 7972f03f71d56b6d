"""Image loading: only the header where the size is enough, and a cache of decoded images."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from rtmo_plugin.data.stored_images import read_stored_image
from rtmo_plugin.data.transforms.image_cache import find_cache
from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.media.image_headers import read_image_size
from rtmo_plugin.registry import TRANSFORMS

# Options of MMPose's transform that choose a decoder, with the values for which this transform is equal.
_DEFAULTS = {"color_type": "color", "imdecode_backend": "cv2", "file_client_args": None}


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load an image: MMPose's transform of this name, with upright images in every format and a cache.

    Pixels equal those of MMPose's transform, which leaves WebP images as they are stored. The loaders of a process and
    of its data loader workers share one cache.

    Args:
        cache_bytes: Memory for decoded images in bytes, on each machine; 0 disables the cache. A full cache keeps
            its images: with random access no other policy has more hits. Cached images are read-only.
        to_float32: Whether pixels are float32 instead of uint8.
        ignore_empty: Whether an image that cannot be read gives None instead of an error.
        backend_args: Options of MMEngine's file backend. Default: chosen by the path.
        **options: Further options of MMPose's ``LoadImage``, which then decodes the image itself, without the
            orientation of WebP images and without limits.

    Raises:
        ConfigError: ``cache_bytes`` is negative, or exceeds the free memory.
    """

    def __init__(
        self,
        cache_bytes: int = 0,
        *,
        to_float32: bool = False,
        ignore_empty: bool = False,
        backend_args: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._options: dict[str, Any] = {
            "to_float32": to_float32,
            "ignore_empty": ignore_empty,
            "backend_args": backend_args,
        }
        self._mmpose = TRANSFORMS.build({"type": "mmpose.LoadImage", **self._options, **options})
        self._is_mmpose = any(options.get(name, value) != value for name, value in _DEFAULTS.items())
        self._cache = find_cache(cache_bytes)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Return the record with ``img`` (H, W, 3), ``img_shape`` and ``ori_shape`` (height, width).

        Args:
            results: Record with ``img_path``, or with ``img`` already.

        Raises:
            DataError: The file is not an image, is damaged, or exceeds a limit of ``media.image_headers``.
            MissingFileError: The file does not exist.
        """
        if "img" in results:
            loaded: dict[str, Any] | None = self._mmpose(dict(results))
            return loaded
        image = self._cache.find(results["img_path"])
        if image is None:
            if self._is_mmpose:
                image = (self._mmpose(dict(results)) or {}).get("img")
            else:
                try:
                    image = read_stored_image(results["img_path"], self._options["backend_args"])
                except (DataError, MissingFileError):
                    if not self._options["ignore_empty"]:
                        raise
            if image is None:
                return None
            self._cache.add(results["img_path"], image)
        if self._options["to_float32"]:
            image = image.astype(np.float32)
        return {**results, "img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2]}

    def read_shape(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Return the record with ``img_shape``, and with ``img`` only if the image had to be decoded for that.

        Args:
            results: Record with ``img_path``, or with ``img`` already.
        """
        if "img" not in results and not self._is_mmpose and not self._options["backend_args"]:
            shape = self._cache.find_shape(results["img_path"]) or _find_shape(results["img_path"])
            if shape:
                return {**results, "img_shape": shape, "ori_shape": shape}
        return self.transform(results)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(cache_bytes={self._cache.max_bytes})"


def _find_shape(path: str) -> tuple[int, int] | None:
    """Return height and width of the upright image in a file from its header; None if it has to be decoded."""
    if "://" in path:
        return None
    try:
        width, height = read_image_size(path)
    except (DataError, MissingFileError):  # decoding raises the error that names the file
        return None
    return height, width
