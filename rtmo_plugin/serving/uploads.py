"""Limits of uploads: bytes, time and rate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rtmo_plugin.errors import ConfigError

_MEGA = 10**6
UPLOAD_S = 60.0  # seconds for one file
GRACE_S = 5.0  # seconds before the rate counts
MIN_RATE = 20_000  # bytes per second
HELD_FILES = 32  # files of the largest size that fit in the memory for uploads; more, if they are smaller


@dataclass(frozen=True)
class Limits:
    """Largest size of an image.

    Attributes:
        megabytes: Size of the file in 10^6 bytes.
        megapixels: Size of the image in 10^6 pixels.

    Raises:
        ConfigError: One of them is not positive.
    """

    megabytes: float = 20.0
    megapixels: float = 50.0

    def __post_init__(self) -> None:
        if not (0 < self.megabytes < float("inf") and 0 < self.megapixels < float("inf")):
            raise ConfigError(f"Limits must be above 0, got {self.megabytes:g} MB and {self.megapixels:g} megapixels.")

    @property
    def num_bytes(self) -> int:
        """Largest file in bytes."""
        return int(self.megabytes * _MEGA)

    @property
    def num_pixels(self) -> int:
        """Largest image in pixels."""
        return int(self.megapixels * _MEGA)


class UploadError(Exception):
    """An upload is refused; the message is a sentence for the sender.

    Args:
        status: Status of the HTTP answer.
        sentence: Reason and advice in one sentence.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Inbox:
    """Receives files, and limits the memory of all files that are being received and processed.

    Args:
        limits: Largest size of a file.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._num_held = 0
        self._max_held = HELD_FILES * limits.num_bytes

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Yield the content of a file, which counts as in memory until the block ends.

        A file that is too large is read to its end and discarded: a browser shows a response only after it has sent
        everything.

        Args:
            chunks: Body of a request in parts.

        Raises:
            UploadError: The file is too large or arrives too slowly, or too many others are in memory.
        """
        content = bytearray()
        try:
            await self._fill(content, chunks)
            yield bytes(content)
        finally:
            self._num_held -= len(content)

    async def _fill(self, content: bytearray, chunks: AsyncIterable[bytes]) -> None:
        loop, iterator, num_received = asyncio.get_running_loop(), aiter(chunks), 0
        start, max_bytes = loop.time(), self._limits.num_bytes
        while True:
            deadline = start + min(UPLOAD_S, GRACE_S + num_received / MIN_RATE)
            try:
                chunk = await asyncio.wait_for(anext(iterator), max(0.0, deadline - loop.time()))
            except StopAsyncIteration:
                break
            except asyncio.TimeoutError:
                raise UploadError(
                    408,
                    f"The file did not arrive within {UPLOAD_S:g} seconds, or at less than {MIN_RATE / 1000:g} kB/s.",
                ) from None
            num_received += len(chunk)
            kept = chunk[: max_bytes + 1 - len(content)]
            if self._num_held + len(kept) > self._max_held:
                raise UploadError(503, "The server has too many files to process: send this one again later.")
            self._num_held += len(kept)
            content += kept
        if num_received > max_bytes:
            raise UploadError(
                413, f"The file has more than {self._limits.megabytes:g} MB, which is the limit: send a smaller one."
            )
