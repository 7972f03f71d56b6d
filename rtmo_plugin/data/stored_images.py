"""Images of a data set: from files, web addresses, or any storage that MMEngine reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine import fileio
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError
from rtmo_plugin.media.images import decode_image, download_image, read_image


def read_stored_image(address: str, backend_args: dict[str, Any] | None = None) -> NDArray[np.uint8]:
    """Return an upright image, (height, width, 3) BGR.

    Args:
        address: Path, web address, address of a synthetic image, or of a storage server that MMEngine knows.
        backend_args: Options of MMEngine's file backend. Default: chosen by the address.

    Raises:
        MissingFileError: The file does not exist.
        DataError: The file cannot be read, is not an image, is damaged, or exceeds a limit.
    """
    if backend_args is None and "://" not in address:
        return read_image(address)
    if backend_args is None and address.startswith(("http://", "https://")):
        return download_image(address)
    try:
        content = fileio.get(address, backend_args)
    except OSError as error:
        raise DataError(f"The image {address} cannot be read: {error.strerror or error}.") from error
    return decode_image(content, address)
