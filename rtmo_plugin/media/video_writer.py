"""Video files whose frames are shown at their times, and that stay readable after any interruption.

OpenCV says nothing when a disk is full, and a file that is not closed in good order cannot be read.
So the space is looked at before each frame, the file is closed while there is still some left, and it
gets its name when it is closed: an older file of that name stays until then.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

from rtmo_plugin.errors import ConfigError, OutputError
from rtmo_plugin.files import replace_file
from rtmo_plugin.media.drawing import Image
from rtmo_plugin.media.ffmpeg_program import FfmpegProgram, find_ffmpeg
from rtmo_plugin.media.image_files import make_folder
from rtmo_plugin.media.pyav_writer import PyavWriter, has_pyav
from rtmo_plugin.media.video import leave_out_messages
from rtmo_plugin.silence import drop_stderr

# The program and the package that write H.264 where OpenCV has no encoder.
_FFMPEG = "ffmpeg"
_PYAV = "pyav"
# By suffix, the best first.  Browsers play H.264 and VP8 but not MPEG-4 Part 2, which OpenCV can always write.
CODECS = {
    ".mp4": ("avc1", _FFMPEG, _PYAV, "mp4v"),
    ".mov": ("avc1", _FFMPEG, _PYAV, "mp4v"),
    ".mkv": ("mp4v",),
    ".avi": ("MJPG",),
    ".webm": ("VP80", "VP90"),
}
_FOR_BROWSERS = {"avc1", _FFMPEG, _PYAV, "VP80", "VP90"}
_RESERVE = 16 * 1024**2  # bytes of the disk to leave free, for the end of this file and for other programs
_MAX_GAP_S = 600.0  # a longer gap between two frames is a wrong time stamp


class VideoWriter:
    """Writer of frames of one size; the file gets its name at ``close``, or when the ``with`` block ends.

    The file has a constant frame rate. A frame is repeated until the next one is due; of two frames
    that are due at once the first is written.

    Args:
        path: File to write, whose suffix, a key of ``CODECS``, chooses the format.  Its folder is made.
        fps: Frames per second.

    Raises:
        ConfigError: The format is unknown.

    Attributes:
        path: File to write.
        codec: Codec of the frames, one of ``CODECS``; known after the first frame.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self.path = Path(path)
        self.codec: str | None = None
        if self.path.suffix.lower() not in CODECS:
            raise ConfigError(f"{path} is not a video that can be written: choose one of {', '.join(CODECS)}.")
        make_folder(self.path.parent)
        self._fps = fps
        self._files = ExitStack()
        self._draft = self.path  # until the file is opened
        self._writer: Any = None
        self._size_wh = (0, 0)
        self._start_s = 0.0
        self._last: Any = None
        self._num_written = 0
        self._num_cut = 0

    @property
    def plays_in_browsers(self) -> bool:
        """Whether browsers play the codec; known after the first frame."""
        return self.codec in _FOR_BROWSERS

    def write(self, image: Image, time_s: float | None = None) -> None:
        """Write a frame.

        Args:
            image: Image, (height, width, 3) BGR; it is scaled to the size of the first frame.
            time_s: Time at which the frame is shown, in seconds; the first frame is the start. Default: directly after
                the previous frame.

        Raises:
            OutputError: The disk is full, or the file cannot be written; earlier frames stay readable.
        """
        if self._writer is None:
            self._check_space(image)
            self._open(image)
            self._start_s = time_s or 0.0
        num_missing = 0 if time_s is None else self._count_missing(time_s)
        if num_missing < 0:
            return
        for _ in range(num_missing):
            self._write(self._last)
        height, width = image.shape[:2]
        self._last = image if (width, height) == self._size_wh else cv2.resize(image, self._size_wh)
        self._write(self._last)

    def _count_missing(self, time_s: float) -> int:
        """Return the number of frames missing before a time; -1 if the frame of that time is written already."""
        place = round((time_s - self._start_s) * self._fps) - self._num_cut
        longest = int(_MAX_GAP_S * self._fps)
        if place - self._num_written > longest:
            self._num_cut += place - self._num_written - longest
            place = self._num_written + longest
        return max(-1, place - self._num_written)

    def _write(self, image: Any) -> None:
        self._check_space(image)
        self._writer.write(image)
        self._num_written += 1

    def _check_space(self, image: Image) -> None:
        """Raise an ``OutputError`` if the disk, or a limit of file sizes, has no room for another frame."""
        free = shutil.disk_usage(self.path.parent).free
        limit = resource.RLIM_INFINITY if resource is None else resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if resource is not None and limit != resource.RLIM_INFINITY:  # as `ulimit -f` sets it
            size = self._draft.stat().st_size if self._writer is not None and self._draft.exists() else 0
            free = min(free, limit - size)
        if free >= _RESERVE + image.nbytes:
            return
        if self._writer is None:
            raise OutputError(f"The disk is too full for {self.path}: {_RESERVE // 1024**2} MB have to stay free.")
        raise OutputError(f"The disk of {self.path} is full: it holds the frames so far, and nothing more.")

    def _open(self, image: Image) -> None:
        """Open the file for frames of the size of ``image``, cut to even sides as codecs require."""
        self._size_wh = (max(2, image.shape[1] // 2 * 2), max(2, image.shape[0] // 2 * 2))
        with ExitStack() as files:
            self._draft = files.enter_context(replace_file(self.path))
            for codec in CODECS[self.path.suffix.lower()]:
                writer = _open_writer(codec, self._draft, self._fps, self._size_wh)
                if writer is not None:
                    self._writer, self.codec, self._files = writer, codec, files.pop_all()
                    return
            width, height = self._size_wh
            raise OutputError(f"{self.path} cannot be written as a video of {width}x{height} pixels.")

    def close(self) -> None:
        """Write the end of the file, and give it its name.

        Raises:
            OutputError: The file cannot be written.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            with self._files:
                writer.release()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def choose_suffix() -> str:
    """Return the suffix of a video that browsers play: ``.mp4`` if this machine writes H.264, else ``.webm``."""
    if find_ffmpeg() or has_pyav():
        return ".mp4"
    with tempfile.TemporaryDirectory() as folder:
        writer = _open_writer("avc1", Path(folder, "probe.mp4"), 10.0, (64, 64))
        if writer is None:
            return ".webm"
        writer.release()
        return ".mp4"


def _open_writer(codec: str, path: Path, fps: float, size_wh: tuple[int, int]) -> Any:
    """Return a writer of a codec, or None if this machine has no encoder for it."""
    if codec == _FFMPEG:
        program = find_ffmpeg()
        return None if program is None else FfmpegProgram(program, path, fps, size_wh)
    if codec == _PYAV:
        return PyavWriter(path, fps, size_wh) if has_pyav() else None
    with leave_out_messages(), drop_stderr():
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size_wh)  # type: ignore[attr-defined]
    return writer if writer.isOpened() else None
