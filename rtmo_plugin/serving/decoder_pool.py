"""Processes that decode uploads, and that are killed when an image takes too long."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.serving.decoder_process import ANSWER, DAMAGED, LENGTH, OK, READY
from rtmo_plugin.serving.uploads import UploadError

DECODE_S = 10.0  # seconds for one image; 50 megapixels take 1 to 3
START_S = 60.0  # seconds for a new process
NUM_DECODERS = 2  # more than one, so that a slow image does not delay all others
_MODULE = "rtmo_plugin.serving.decoder_process"


class DecoderPool:
    """Processes that decode images, one image each at a time.

    Args:
        max_pixels: Largest number of pixels of an image.
        decode_s: Seconds after which the process of an image is killed.
        num_decoders: Number of processes.
    """

    def __init__(self, max_pixels: int, decode_s: float = DECODE_S, num_decoders: int = NUM_DECODERS) -> None:
        self._all = [_Decoder(max_pixels, decode_s) for _ in range(num_decoders)]
        self._free: queue.Queue[_Decoder] = queue.Queue()
        for decoder in self._all:
            self._free.put(decoder)

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def decode(self, content: bytes) -> NDArray[np.uint8]:
        """Return the image in a file's content, (height, width, 3) BGR, upright; blocks until a process is free.

        Raises:
            UploadError: The content is not an image, exceeds a limit, is damaged, or takes too long.
        """
        decoder = self._free.get()
        try:
            return decoder.decode(content)
        finally:
            self._free.put(decoder)

    def close(self) -> None:
        """Kill all processes at once, with the images that they are decoding."""
        for decoder in self._all:
            decoder.close()


class _Decoder:
    """One decoding process, which is started again after it was killed."""

    def __init__(self, max_pixels: int, decode_s: float) -> None:
        self._max_pixels, self._decode_s = max_pixels, decode_s
        self._is_closed = False
        self._is_late = False
        self._lock = threading.Lock()  # guards starting against closing
        self._process = self._start()
        self._is_ready = False

    def decode(self, content: bytes) -> NDArray[np.uint8]:
        """Return the image; kill the process if it takes too long."""
        with self._lock:
            if self._process.poll() is not None and not self._is_closed:
                self._process.communicate()
                self._process, self._is_ready = self._start(), False
        if not self._is_ready:
            self._is_ready = self._exchange(START_S, lambda source, _: _read(source, 1)) == READY
        image = self._exchange(self._decode_s, lambda source, target: _ask(source, target, content))
        if image is not None:
            return image  # type: ignore[no-any-return]
        if self._is_late:
            raise UploadError(
                DAMAGED,
                f"The file takes more than {self._decode_s:g} seconds to decode, the limit; save the image again.",
            )
        raise UploadError(DAMAGED, "The file cannot be decoded: the decoder ended.")

    def close(self) -> None:
        """Kill the process, and start no other."""
        with self._lock:
            self._is_closed = True
            self._process.kill()
        self._process.wait()

    def _exchange(self, seconds: float, action: Any) -> Any:
        """Return the result of an action on the output and input of the process; None if the process ends meanwhile."""
        self._is_late = False
        timer = threading.Timer(seconds, self._kill_late)
        timer.start()
        try:
            return action(self._process.stdout, self._process.stdin)
        except (EOFError, OSError):
            self._process.kill()
            self._process.wait()
            return None
        finally:
            timer.cancel()

    def _kill_late(self) -> None:
        self._is_late = True
        self._process.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        # The same modules as in this process, and none from the working folder.
        path = os.pathsep.join(entry for entry in sys.path if entry)
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
        environment["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(max(self._max_pixels, 2**20))
        return subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(self._max_pixels)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            stderr=subprocess.DEVNULL,  # libraries print messages about damaged images
            env=environment,
            start_new_session=True,  # Ctrl-C reaches only the server, which kills its processes
        )


def _ask(source: BinaryIO, target: BinaryIO, content: bytes) -> NDArray[np.uint8]:
    """Send an image and return its pixels.

    Raises:
        UploadError: The process refuses it.
    """
    left = memoryview(LENGTH.pack(len(content)) + content)
    while left:
        left = left[target.write(left) :]
    status, first, second = ANSWER.unpack(_read(source, ANSWER.size))
    if status != OK:
        raise UploadError(status, _read(source, first).decode())
    return np.frombuffer(_read(source, 3 * first * second), np.uint8).reshape(first, second, 3)


def _read(source: BinaryIO, size: int) -> bytearray:
    content = bytearray(size)
    left = memoryview(content)
    while left:
        count = source.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        left = left[count:]
    return content
