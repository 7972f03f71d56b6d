"""Video in, video out: people found, followed from frame to frame, drawn with their ids, and written down.

Beside the video lies a file of JSON lines, one a frame, each written when its frame is done:

    {"image": "walk.mp4", "index": 0, "time": 0.0, "people": [{"id": 1, "score": 0.9, "box": [...], "keypoints":
    [[x, y, visibility], ...]}], "error": null}

``id`` is -1 for somebody who is not, or not yet, believed to be a person.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from rtmo_plugin.errors import ConfigError, OutputError, UserError
from rtmo_plugin.inference.files import make_folder
from rtmo_plugin.inference.model_info import ModelInfo
from rtmo_plugin.inference.results import PoseResult
from rtmo_plugin.inference.smoothing import PoseSmoother
from rtmo_plugin.inference.sources import SourceKind, find_kind
from rtmo_plugin.inference.tracking import FRAMES_A_SECOND, Tracker
from rtmo_plugin.inference.video import describe_video
from rtmo_plugin.inference.video_writer import CODECS, VideoWriter


class Finder(Protocol):
    """What finds people frame by frame: ``Pose``."""

    info: ModelInfo

    def stream(self, source: Any, *, batch_size: int = 1) -> Iterator[PoseResult]:
        """Yield a result for each frame."""


@dataclass(frozen=True)
class TrackSummary:
    """What came of a video.

    Attributes:
        video: With the people drawn on it.
        lines: JSON, one line a frame.
        num_frames: That are in both.
        num_ids: How many people got an id.
        error: One sentence if it stopped before the end; what was done until then is in the files.
    """

    video: Path
    lines: Path
    num_frames: int
    num_ids: int
    error: str | None = None


def track_results(
    results: Iterable[PoseResult], tracker: Tracker, smoother: PoseSmoother | None = None
) -> Iterator[PoseResult]:
    """Yield the results of one video or camera, with ids.

    Args:
        results: In order; one with an error is passed on.
        tracker: Gives the ids.
        smoother: Smooths keypoints; None leaves them.
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
    pose: Finder,
    source: str | int | Path,
    out: str | Path,
    *,
    smooth: bool = False,
    batch_size: int = 1,
    **options: Any,
) -> Iterator[PoseResult | TrackSummary]:
    """Follow the people in a video or before a camera, and write a video with ids and a file of JSON lines.

    A video that ends early, a camera that is unplugged, a full disk or Ctrl-C ends it there: both files hold what
    was done.

    Args:
        pose: Finds the people; with a low ``score_thr``, such as 0.1, ids stay longer with people hard to see.
        source: A video file or its address, or the number of a camera.
        out: The video to write, such as ``tracked.mp4``, beside which ``tracked.jsonl`` will lie; or a folder.
        smooth: Whether keypoints are smoothed.
        batch_size: Frames that are computed at once.
        **options: Of ``Tracker``.

    Yields:
        The result of each frame, when it is written; a ``TrackSummary`` comes last.

    Raises:
        UserError: The source, ``out`` or an option is wrong; nothing is written then.
    """
    kind = find_kind(source)
    if kind not in (SourceKind.VIDEO, SourceKind.LIVE):
        raise ConfigError(f"{source} is no video: give a video file, its address or the number of a camera.")
    fps = FRAMES_A_SECOND if kind is SourceKind.LIVE else describe_video(str(source)).fps
    video = _choose_video(source, Path(out))
    tracker = Tracker(pose.info.schema.sigmas, **options)
    results = track_results(pose.stream(source, batch_size=batch_size), tracker, PoseSmoother() if smooth else None)
    lines, num_frames, error = video.with_suffix(".jsonl"), 0, None
    try:
        for result in _write(results, video, lines, fps):
            error = result.error
            num_frames += error is None
            yield result
    except UserError as stopped:
        error = str(stopped)
    yield TrackSummary(video, lines, num_frames, tracker.num_ids, error)


def _write(results: Iterator[PoseResult], video: Path, lines: Path, fps: float) -> Iterator[PoseResult]:
    """Yield the results when they are written, up to the first with an error.

    Raises:
        OutputError: The disk is full.
    """
    with VideoWriter(video, fps) as writer, lines.open("w", encoding="utf-8") as file:
        for result in results:
            if result.error is None:
                writer.write(_leave_out_nobody(result).plot())
                _write_line(file, result, lines)
            yield result
            if result.error is not None:
                return


def _leave_out_nobody(result: PoseResult) -> PoseResult:
    """Return the people that have an id: of a low ``score_thr`` the others are mostly none."""
    return result if result.ids is None else result[result.ids > 0]


def _write_line(file: Any, result: PoseResult, path: Path) -> None:
    try:
        file.write(json.dumps(result.to_dict()) + "\n")
        file.flush()
    except OSError as error:
        raise OutputError(f"{path} cannot be written any further: {error.strerror}.") from error


def _choose_video(source: str | int | Path, out: Path) -> Path:
    """Return the file to write.

    Raises:
        ConfigError: It is the source itself, or its folder cannot be made.
    """
    if out.suffix.lower() in CODECS:
        make_folder(out.parent, "--out")
        video = out
    else:
        stem = f"camera{source}" if str(source).isdecimal() else Path(str(source)).stem
        video = make_folder(out, "--out") / f"{stem}.mp4"
    if video.resolve() == Path(str(source)).resolve():
        raise ConfigError(f"--out {out} would replace the video that is read: choose another name or folder.")
    return video
