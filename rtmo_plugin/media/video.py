"""Frames of videos and cameras with their times, read by OpenCV."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.media.video_rotation import Turn, make_turn, read_turn

_USUAL_FPS = 30.0
# To measure a frame rate: times of the first frames, in windows, since files round times to milliseconds.
_NUM_TIMED = 120
_WINDOW = 3
_MAX_FPS = 120.0
_CLEARLY_FASTER = 1.1
# Containers may count a frame or two that no decoder gives, such as those before the first key frame.
_FEW = 2
_FEW_PART = 0.02
_SILENT = 0
_MAX_CAMERA = 99  # OpenCV reads a number from 100 on as a backend and a camera of it
# OpenCV 4.6 and earlier report the angle counterclockwise.
_ANGLE_SIGN = -1 if tuple(map(int, cv2.__version__.split(".")[:2])) < (4, 7) else 1
# Where OpenCV 4 has the level of its messages, and where OpenCV 5 has it.
_LOGGING: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # type: ignore[attr-defined]


@dataclass(frozen=True)
class VideoInfo:
    """Properties that a video file declares.

    Attributes:
        size_wh: Width and height of the upright frames.
        fps: Frames per second; 30 if the file declares none.
        num_frames: Number of frames; 0 if the file declares none.
    """

    size_wh: tuple[int, int]
    fps: float
    num_frames: int


def describe_video(path: str | Path) -> VideoInfo:
    """Return the properties that a video declares.

    Raises:
        MissingFileError: The file does not exist.
        DataError: The file is not a video.
    """
    capture = open_video(path)
    try:
        return _describe(capture)
    finally:
        capture.release()


def open_video(address: str | Path) -> Any:
    """Open a video file, or a stream by its address; its frames are upright.

    Raises:
        MissingFileError: The file does not exist.
        DataError: The file is not a video or its end is missing, or nothing answers at the address.
    """
    is_file = "://" not in str(address)
    if is_file and not os.path.isfile(address):
        raise MissingFileError(f"The video {address} does not exist.")
    with leave_out_messages():
        capture = cv2.VideoCapture(str(address))
    if not capture.isOpened():
        reason = "is not a video that OpenCV can read, or its end is missing" if is_file else "cannot be opened"
        raise DataError(f"{address} {reason}.")
    return UprightCapture(capture, read_turn(address) if is_file else None)


class UprightCapture:
    """Opened video whose frames are upright, whatever OpenCV's version does with rotated files.

    Args:
        capture: OpenCV's capture of the video.
        turn: Turn that makes the frames upright. Default: the angle that OpenCV reports.
    """

    def __init__(self, capture: Any, turn: Turn | None = None) -> None:
        self._capture = capture
        reported = make_turn(_ANGLE_SIGN * capture.get(cv2.CAP_PROP_ORIENTATION_META))
        # A backend without the property always turns frames itself, or never does.
        is_raw = capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0) and not capture.get(cv2.CAP_PROP_ORIENTATION_AUTO)
        self._turn = (reported if turn is None else turn) if is_raw else Turn()

    def get(self, name: int) -> float:
        """Return a property; width and height are those of the upright frames."""
        swapped = {
            cv2.CAP_PROP_FRAME_WIDTH: cv2.CAP_PROP_FRAME_HEIGHT,
            cv2.CAP_PROP_FRAME_HEIGHT: cv2.CAP_PROP_FRAME_WIDTH,
        }
        value: float = self._capture.get(swapped.get(name, name) if self._turn.is_transposed else name)
        return value

    def grab(self) -> bool:
        """Go to the next frame; return False at the end."""
        is_there: bool = self._capture.grab()
        return is_there

    def retrieve(self) -> tuple[bool, Any]:
        """Return whether the frame could be decoded, and the frame."""
        is_read, image = self._capture.retrieve()
        return is_read, self._turn.apply(image) if is_read else None

    def read(self) -> tuple[bool, Any]:
        """Go to the next frame and return it."""
        return self.retrieve() if self.grab() else (False, None)

    def release(self) -> None:
        """Close the video."""
        self._capture.release()


def open_camera(number: int) -> Any:
    """Open a camera of this machine; 0 is the first.

    Raises:
        MissingFileError: The camera does not exist or is in use.
    """
    capture = None
    if number <= _MAX_CAMERA:
        with leave_out_messages():
            capture = cv2.VideoCapture(number)
    if capture is None or not capture.isOpened():
        raise MissingFileError(f"Camera {number} is missing, or another program is using it.")
    return capture


def measure_fps(path: str | Path) -> float:
    """Return the frame rate at which a video loses no frame: its own, or that of its fastest early part.

    A file whose rate varies reports its mean or a wrong value.

    Raises:
        MissingFileError: The file does not exist.
        DataError: The file is not a video.
    """
    capture = open_video(path)
    try:
        fps, times, now_s = _describe(capture).fps, list[float](), -1 / _USUAL_FPS
        while len(times) < _NUM_TIMED and capture.grab():
            now_s = _find_time(capture, fps, len(times), now_s)
            times.append(now_s)
    finally:
        capture.release()
    spans = [end - start for start, end in zip(times, times[_WINDOW:])]
    fastest = min(_WINDOW / min(spans), _MAX_FPS) if spans else fps
    return fastest if fastest > _CLEARLY_FASTER * fps else fps


def read_video(capture: Any, name: str, path: Path | None = None, start: int = 0) -> Iterator[Frame]:
    """Yield the frames of an opened video and close it; a frame with an error follows if the video ends early.

    Args:
        capture: Opened video.
        name: Name of the frames.
        path: Path of the video file. None for a stream.
        start: Index of the first frame; earlier ones are decoded and dropped, since few videos can be entered at an
            exact frame.
    """
    info, index, now_s = _describe(capture), 0, -1 / _USUAL_FPS
    try:
        while capture.grab():
            now_s = _find_time(capture, info.fps, index, now_s)
            if index >= start:
                is_read, image = capture.retrieve()
                if not is_read:
                    break
                yield Frame(image, name, path, index, now_s)
            index += 1
        # Where a file has no number of frames, OpenCV computes one from its length, which is too many where the rate
        # varies: then the time of the last frame says whether the end is missing.
        num_shown = min(info.num_frames, max(index, now_s * info.fps + 1))
        if not index:
            yield Frame(None, name, path, index, error=f"{name} has no frame that can be read.")
        elif num_shown < info.num_frames - max(_FEW, _FEW_PART * info.num_frames):
            early = f"{name} ends early: only {index} of its {info.num_frames} frames can be read."
            yield Frame(None, name, path, index, error=early)
    finally:
        capture.release()


def read_camera(capture: Any, name: str) -> Iterator[Frame]:
    """Yield the frames of an opened camera or live stream until it ends, and close it."""
    start_s, index = time.monotonic(), 0
    try:
        while True:
            is_read, image = capture.read()
            if not is_read:
                break
            yield Frame(image, name, None, index, time.monotonic() - start_s)
            index += 1
        yield Frame(None, name, None, index, error=f"{name} gives no more images after {index}.")
    finally:
        capture.release()


def _describe(capture: Any) -> VideoInfo:
    width, height, fps, num_frames = (
        capture.get(each)
        for each in (
            cv2.CAP_PROP_FRAME_WIDTH,
            cv2.CAP_PROP_FRAME_HEIGHT,
            cv2.CAP_PROP_FPS,
            cv2.CAP_PROP_FRAME_COUNT,
        )
    )
    is_known = 0 < fps < 1000
    return VideoInfo((int(width), int(height)), fps if is_known else _USUAL_FPS, max(0, int(num_frames)))


def _find_time(capture: Any, fps: float, index: int, before_s: float) -> float:
    """Return the time in seconds of the frame just read: its time stamp, or the one that its number implies."""
    stamp_s = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
    if stamp_s > before_s and (stamp_s > 0 or index == 0):
        return stamp_s
    return max(index / fps, before_s + 1 / fps)


@contextmanager
def leave_out_messages() -> Iterator[None]:
    """Silence OpenCV and FFmpeg about files and cameras that they cannot open; the error message says it."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = _LOGGING.setLogLevel(_SILENT)  # returns the previous level
    try:
        yield
    finally:
        _LOGGING.setLogLevel(level)
