"""H.264 videos through the program ``ffmpeg``, for systems whose OpenCV has no encoder."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from rtmo_plugin.errors import OutputError
from rtmo_plugin.media.drawing import Image

_ENCODER = "libx264"
_TIMEOUT_S = 20


@lru_cache
def find_ffmpeg() -> str | None:
    """Return the path of the program, or None if it is not installed or cannot write H.264."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    try:
        listed = subprocess.run(
            [program, "-hide_banner", "-encoders"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return program if _ENCODER in listed.stdout.split() else None


class FfmpegProgram:
    """Video writer that pipes frames to the program, with the methods of OpenCV's writer.

    Args:
        program: Path of the program.
        path: File to write.
        fps: Frames per second.
        size_wh: Width and height of all frames, both even.
    """

    def __init__(self, program: str, path: Path, fps: float, size_wh: tuple[int, int]) -> None:
        width, height = size_wh
        source = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}", "-r", f"{fps:.6f}", "-i", "-"]
        codec = ["-an", "-c:v", _ENCODER, "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"]
        place = ["-movflags", "+faststart", f"file:{path}"]
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  (closed by ``release``)
        self._process = subprocess.Popen(
            [program, "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *source, *codec, *place],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is for this process, which then closes the file
        )

    def write(self, image: Image) -> None:
        """Write a frame.

        Raises:
            OutputError: The program has stopped.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(image.tobytes())
        except BrokenPipeError as error:
            raise OutputError(f"ffmpeg stopped: {self._read_reason()}.") from error

    def release(self) -> None:
        """Write the end of the file.

        Raises:
            OutputError: The program fails.
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the exit code says it
            self._process.stdin.close()
        code = self._process.wait()
        reason = self._read_reason()
        self._errors.close()
        if code:
            raise OutputError(f"ffmpeg failed with code {code}: {reason}.")

    def _read_reason(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1].rstrip(".") if lines else "it gives no reason"
