"""Tracking of a whole video: detect, track, draw the ids into a new video, and write JSON lines.

The JSON file beside the video has one line per frame, written when the frame is done:

    {"image": "walk.mp4", "index": 0, "time": 0.0, "people": [{"id": 1, "score": 0.9, "box": [...], "keypoints":
    [[x, y, visibility], ...]}], "error": null}

``id`` is -1 for detections whose track is not confirmed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TextIO

from rtmo_plugin.errors import ConfigError, NonFiniteError, OutputError, UserError
from rtmo_plugin.files import MAX_NAME_BYTES, check_outputs
from rtmo_plugin.media.file_patterns import VIDEO_SUFFIXES
from rtmo_plugin.media.image_files import make_folder
from rtmo_plugin.media.image_headers import SUFFIXES
from rtmo_plugin.media.sources import SourceKind, find_kind
from rtmo_plugin.media.video import measure_fps
from rtmo_plugin.media.video_writer import CODECS, VideoWriter, choose_suffix
from rtmo_plugin.option_names import check_option_names
from rtmo_plugin.pose.results import PoseResult
from rtmo_plugin.pose.tracking.smoothing import PoseSmoother
from rtmo_plugin.pose.tracking.tracker import FRAMES_A_SECOND, Tracker
from rtmo_plugin.runtime.model_info import ModelInfo

_OPTIONS = ("smooth", "batch_size", "start_score", "min_seen", "max_lost")
_NOT_FOLDERS = (*SUFFIXES, *VIDEO_SUFFIXES, ".json", ".jsonl", ".txt")


class PoseStream(Protocol):
    """What detects people frame by frame: ``Pose``."""

    info: ModelInfo

    def stream(self, source: Any, *, batch_size: int = 1) -> Iterator[PoseResult]:
        """Yield a result for each frame."""


@dataclass(frozen=True)
class TrackSummary:
    """Outcome of a tracked video.

    Attributes:
        video: Video with the people drawn on it.
        lines: File of JSON, one line per frame.
        num_frames: Number of frames that were read and written.
        num_ids: Number of people with an id.
        error: Reason in one sentence if it stopped before the end; the files hold everything until then.
        plays_in_browsers: Whether the codec of the video is one that browsers play.
    """

    video: Path
    lines: Path
    num_frames: int
    num_ids: int
    error: str | None = None
    plays_in_browsers: bool = True


def track_results(
    results: Iterable[PoseResult], tracker: Tracker, smoother: PoseSmoother | None = None
) -> Iterator[PoseResult]:
    """Yield the results of one video or camera with ids.

    Args:
        results: Results in order; a result with an error is passed on.
        tracker: Tracker that gives the ids.
        smoother: Filter of the keypoints. Default: no filter.
    """
    for result in results:
        if result.error is not None:
            yield result
            continue
        time = result.frame.index / FRAMES_A_SECOND if result.frame.time_s is None else result.frame.time_s
        ids = tracker.update(result.people, time)
        people = smoother.update(result.people, ids, time) if smoother else result.people
        yield replace(result, people=people, ids=ids)


def track_video(
    pose: PoseStream,
    source: str | int | Path,
    out: str | Path,
    *,
    smooth: bool = False,
    batch_size: int = 1,
    **options: Any,
) -> Generator[PoseResult | TrackSummary, None, None]:
    """Track the people in a video or camera stream, and write a video with their ids and a file of JSON lines.

    If the video ends early, the camera is unplugged, the disk is full or the caller stops, both files hold the frames
    until then.

    Args:
        pose: Model that detects the people; a low ``score_thr``, such as 0.1, keeps the ids of people who are hard
            to see.
        source: Video file or its address, or camera number.
        out: Video to write, such as ``tracked.mp4``, with ``tracked.jsonl`` beside it; or a folder, for an ``.mp4`` if
            this machine writes H.264, else a ``.webm``.
        smooth: Whether keypoints are smoothed.
        batch_size: Number of frames that are computed at once.
        **options: Options of ``Tracker``.

    Yields:
        Result of each frame, once it is written; a ``TrackSummary`` comes last.

    Raises:
        UserError: The source, ``out`` or an option is wrong; nothing is written then.
    """
    check_option_names("track_video", options, _OPTIONS)
    kind = find_kind(source)
    if kind not in (SourceKind.VIDEO, SourceKind.LIVE):
        raise ConfigError(f"{source} is not a video: give a video file, its address or the number of a camera.")
    fps = FRAMES_A_SECOND if kind is SourceKind.LIVE else measure_fps(str(source))
    video, lines = choose_files(source, out)
    tracker = Tracker(pose.info.schema.sigmas, **options)
    results = track_results(pose.stream(source, batch_size=batch_size), tracker, PoseSmoother() if smooth else None)
    make_folder(video.parent, "--out")
    writer, num_frames, error = VideoWriter(video, fps), 0, None
    try:
        with closing(_write(results, writer, lines)) as written:
            for result in written:
                error = result.error
                num_frames += error is None
                yield result
    except NonFiniteError:  # a fault of the model, not of the video
        raise
    except UserError as stopped:
        error = str(stopped)
    if not num_frames and error is None:
        error = f"{source} has no frame that can be read."
    is_playable = writer.plays_in_browsers or not num_frames
    yield TrackSummary(video, lines, num_frames, tracker.num_ids, error, is_playable)


def choose_files(source: str | int | Path, out: str | Path) -> tuple[Path, Path]:
    """Return the paths of the video and of the JSON lines that ``track_video`` writes.

    Args:
        source: Video file or its address, or camera number.
        out: Video to write, or a folder.

    Raises:
        ConfigError: ``out`` is neither a folder nor a video that can be written.
        OutputError: A file is the source itself, also through a link, or cannot be written.
    """
    name, video = str(source), Path(out)
    if video.suffix.lower() not in CODECS:
        if video.suffix.lower() in _NOT_FOLDERS and not video.is_dir():
            raise ConfigError(f"--out {out} is not a video that can be written: choose one of {', '.join(CODECS)}.")
        last = name.partition("?")[0].rstrip("/").rpartition("/")[2] if "://" in name else name
        stem = f"camera{name}" if name.isdecimal() else Path(last).stem or "stream"
        while len(os.fsencode(f"{stem}.jsonl")) > MAX_NAME_BYTES:
            stem = stem[:-1]
        video /= f"{stem}{choose_suffix()}"
    lines = video.with_suffix(".jsonl")
    check_outputs([video, lines], [] if "://" in name else [name])
    return video, lines


def _write(results: Iterator[PoseResult], writer: VideoWriter, lines: Path) -> Generator[PoseResult, None, None]:
    """Yield each result once it is written, up to the first with an error.

    Raises:
        OutputError: The disk is full.
    """
    with writer, ExitStack() as files:
        file = None
        for result in results:
            if result.error is None:
                # With a low ``score_thr``, most detections without an id are not people.
                tracked = result if result.ids is None else result[result.ids > 0]
                writer.write(tracked.plot(), result.frame.time_s)
                file = file or files.enter_context(_create(lines))
                _write_line(file, result, lines)
            yield result
            if result.error is not None:
                return


def _create(path: Path) -> TextIO:
    """Open a new file; an older one is removed, and a link is not followed."""
    try:
        path.unlink(missing_ok=True)
        return path.open("x", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


def _write_line(file: Any, result: PoseResult, path: Path) -> None:
    try:
        file.write(json.dumps(result.to_dict(), allow_nan=False) + "\n")
        file.flush()
    except OSError as error:
        raise OutputError(f"{path} cannot be written any further: {error.strerror}.") from error
