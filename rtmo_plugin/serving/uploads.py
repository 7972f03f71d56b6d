"""What is taken in: so many bytes, so many pixels, in so much time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.serving.image_header import FORMATS, read_size_wh

_MEGA = 10**6
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Limits:
    """How large an image may be.

    Attributes:
        megabytes: Of the file, in 10^6 bytes.
        megapixels: Of the image, in 10^6 pixels.

    Raises:
        ConfigError: One of them is not positive.
    """

    megabytes: float = 20.0
    megapixels: float = 50.0

    def __post_init__(self) -> None:
        if not (self.megabytes > 0 and self.megapixels > 0):
            raise ConfigError(f"Limits must be above 0, got {self.megabytes:g} MB and {self.megapixels:g} megapixels.")

    @property
    def num_bytes(self) -> int:
        """Of the file, at most."""
        return int(self.megabytes * _MEGA)

    @property
    def num_pixels(self) -> int:
        """Of the image, at most."""
        return int(self.megapixels * _MEGA)


class UploadError(Exception):
    """An upload that is not used; the message is a sentence for whoever sent it.

    Args:
        status: Of the HTTP answer.
        sentence: What is wrong and what to do.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def read_image(chunks: AsyncIterable[bytes], limits: Limits) -> bytes:
    """Return the content of an image file that is within the limits, not decoded.

    What is too much is read to its end and forgotten: a browser shows an answer only when it has sent everything.

    Args:
        chunks: Of the body of a request.
        limits: How large it may be.

    Raises:
        UploadError: It is too large, too slow, or no image.
    """
    try:
        content = await asyncio.wait_for(_join(chunks, limits.num_bytes), _TIMEOUT_S)
    except asyncio.TimeoutError:
        raise UploadError(408, f"The image did not arrive within {_TIMEOUT_S:g} seconds.") from None
    if len(content) > limits.num_bytes:
        raise UploadError(
            413, f"The file has more than {limits.megabytes:g} MB, which is the limit: send a smaller one."
        )
    size_wh = read_size_wh(content)
    if size_wh is None:
        raise UploadError(415, f"This is not an image that can be read: send {FORMATS}.")
    if size_wh[0] * size_wh[1] > limits.num_pixels:
        raise UploadError(
            413,
            f"The image has {size_wh[0]} x {size_wh[1]} pixels, and {limits.megapixels:g} million are the limit: "
            "send a smaller one.",
        )
    return content


async def _join(chunks: AsyncIterable[bytes], num_bytes: int) -> bytes:
    """Return the chunks as one, but of what has more than ``num_bytes`` no more than shows it."""
    content = bytearray()
    async for chunk in chunks:
        content += chunk[: num_bytes + 1 - len(content)]
    return bytes(content)
