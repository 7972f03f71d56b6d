"""The process that decodes uploads: reads files from its input, writes pixels or a refusal to its output.

``rtmo_plugin.serving.decoder_pool`` runs it as ``python -m rtmo_plugin.serving.decoder_process MAX_PIXELS``. A
hostile image can block, bloat or crash only this process, which its parent then kills.

It first writes ``READY``. Each request is a length and a file's content; each answer is ``ANSWER`` (status, and height
and width of the image or length and 0), followed by the pixels (BGR, upright) or by a sentence.
"""

from __future__ import annotations

import struct
import sys
from contextlib import suppress
from typing import BinaryIO

READY = b"R"
LENGTH = struct.Struct("<Q")
ANSWER = struct.Struct("<HII")
OK, TOO_LARGE, NOT_AN_IMAGE, DAMAGED = 200, 413, 415, 422  # HTTP status of each answer
_BASE_BYTES = 3 * 2**30  # address space for Python, OpenCV and Pillow
_BYTES_PER_PIXEL = 24  # a progressive JPEG has coefficients, planes and pixels in memory


def answer_requests() -> None:
    """Answer requests until the input ends."""
    max_pixels = int(sys.argv[1])
    _limit_memory(_BASE_BYTES + _BYTES_PER_PIXEL * max_pixels)
    import cv2  # after the limit, and only in this process

    cv2.setNumThreads(1)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    target.write(READY)
    target.flush()
    while len(length := source.read(LENGTH.size)) == LENGTH.size:
        _answer(source.read(LENGTH.unpack(length)[0]), max_pixels, target)


def _answer(content: bytes, max_pixels: int, target: BinaryIO) -> None:
    from rtmo_plugin.errors import DataError
    from rtmo_plugin.media.image_headers import ImageLimitError, NotAnImageError
    from rtmo_plugin.media.images import decode_image

    try:
        image = decode_image(content, "The file", max_pixels)
    except (DataError, MemoryError) as error:
        kinds: dict[type, int] = {ImageLimitError: TOO_LARGE, NotAnImageError: NOT_AN_IMAGE}
        sentence = (str(error) or "The file does not fit in memory.").encode()
        target.write(ANSWER.pack(kinds.get(type(error), DAMAGED), len(sentence), 0) + sentence)
    else:
        target.write(ANSWER.pack(OK, *image.shape[:2]))
        target.write(image.tobytes())
    target.flush()


def _limit_memory(num_bytes: int) -> None:
    """Limit the address space, on systems that can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > num_bytes:
        with suppress(OSError, ValueError):  # macOS has the limit and refuses to set it
            resource.setrlimit(resource.RLIMIT_AS, (num_bytes, hard))


if __name__ == "__main__":
    answer_requests()
