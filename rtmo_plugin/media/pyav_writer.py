"""H.264 videos through the package PyAV, for systems without the program ``ffmpeg``."""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

from rtmo_plugin.errors import OutputError
from rtmo_plugin.media.drawing import Image

_ENCODER = "libx264"
_MAX_DENOMINATOR = 65_535  # of a time base in MP4 files


def has_pyav() -> bool:
    """Whether PyAV is installed and can write H.264."""
    if not find_spec("av"):
        return False
    import av

    return _ENCODER in av.codecs_available


class PyavWriter:
    """Video writer with the methods of OpenCV's.

    Args:
        path: File to write.
        fps: Frames per second.
        size_wh: Width and height of all frames, both even.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, path: Path, fps: float, size_wh: tuple[int, int]) -> None:
        import av

        self._error, self._frame = av.FFmpegError, av.VideoFrame
        try:
            self._file = av.open(f"file:{path}", "w", options={"movflags": "+faststart"})
        except self._error as error:
            raise OutputError(f"PyAV cannot write {path}: {error.strerror}.") from error
        rate = Fraction(fps).limit_denominator(_MAX_DENOMINATOR)
        self._stream = self._file.add_stream(_ENCODER, rate=rate, options={"preset": "veryfast", "crf": "20"})
        self._stream.width, self._stream.height = size_wh
        self._stream.pix_fmt = "yuv420p"

    def write(self, image: Image) -> None:
        """Write a frame, (height, width, 3) BGR.

        Raises:
            OutputError: The disk is full.
        """
        try:
            self._file.mux(self._stream.encode(self._frame.from_ndarray(image, format="bgr24")))
        except self._error as error:
            raise OutputError(f"PyAV cannot write the video: {error.strerror}.") from error

    def release(self) -> None:
        """Write the end of the file.

        Raises:
            OutputError: The disk is full.
        """
        try:
            self._file.mux(self._stream.encode())
            self._file.close()
        except self._error as error:
            raise OutputError(f"PyAV cannot write the end of the video: {error.strerror}.") from error
