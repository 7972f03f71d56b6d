"""Video files, written by OpenCV, that stay readable whatever happens to the disk.

OpenCV says nothing when a disk is full, and a file that is not closed in good order cannot be read.
So the space is looked at before each frame, and the file is closed while there is still some left.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType

import cv2

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

from rtmo_plugin.errors import ConfigError, OutputError
from rtmo_plugin.inference.drawing import Image
from rtmo_plugin.inference.files import make_folder

# By suffix: what players open and OpenCV's own build writes everywhere.
CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP90"}
_RESERVE = 16 * 1024**2  # bytes that are left free: for the end of this file, and for everybody else


class VideoWriter:
    """Writes frames of one size to a file; the file is readable after ``close``, or when the ``with`` ends.

    Args:
        path: Of the file; its suffix, of ``CODECS``, says the format.  Its folder is made if need be.
        fps: Frames a second.

    Raises:
        ConfigError: There is no such format.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in CODECS:
            raise ConfigError(f"{path} is no video that can be written: choose one of {', '.join(CODECS)}.")
        make_folder(self.path.parent)
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._size_wh = (0, 0)

    def write(self, image: Image) -> None:
        """Write a frame, (height, width, 3) BGR; one of another size than the first is scaled to it.

        Raises:
            OutputError: The disk is full, or the file cannot be written; earlier frames stay readable.
        """
        if self._find_space() < _RESERVE + image.nbytes:
            raise OutputError(self._explain_lack())
        if self._writer is None:
            self._writer = self._open(image)
        height, width = image.shape[:2]
        fitting = image if (width, height) == self._size_wh else cv2.resize(image, self._size_wh)
        self._writer.write(fitting)

    def _find_space(self) -> int:
        """Return how many bytes can still be written: until the disk is full, or the file as large as it may be."""
        free = shutil.disk_usage(self.path.parent).free
        if resource is None:
            return free
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)  # as `ulimit -f` sets it
        size = self.path.stat().st_size if self.path.exists() else 0
        return free if limit == resource.RLIM_INFINITY else min(free, limit - size)

    def _explain_lack(self) -> str:
        if self._writer is None:
            return f"There is no room for {self.path}: {_RESERVE // 1024**2} MB have to stay free."
        return f"The disk of {self.path} is full: it holds the frames so far, and nothing more."

    def _open(self, image: Image) -> cv2.VideoWriter:
        """Open the file for frames of the size of ``image``, cut to even numbers as codecs want."""
        self._size_wh = (max(2, image.shape[1] // 2 * 2), max(2, image.shape[0] // 2 * 2))
        code = cv2.VideoWriter_fourcc(*CODECS[self.path.suffix.lower()])  # type: ignore[attr-defined]
        writer = cv2.VideoWriter(str(self.path), code, self._fps, self._size_wh)
        if not writer.isOpened():
            raise OutputError(
                f"{self.path} cannot be written as a video of {self._size_wh[0]}x{self._size_wh[1]} pixels."
            )
        return writer

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is not None:
            self._writer.release()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
