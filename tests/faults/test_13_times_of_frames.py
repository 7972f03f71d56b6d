"""Frames of written videos are shown at their times: of slow cameras, and of files whose frame rate varies."""

import struct

import cv2
import numpy as np
import pytest

from rtmo_plugin.media.frames import Frame
from rtmo_plugin.media.sources import read_frames
from rtmo_plugin.media.video import describe_video, measure_fps
from rtmo_plugin.media.video_writer import VideoWriter
from rtmo_plugin.pose.streaming import stream_results
from rtmo_plugin.pose.tracking.track_video import track_video
from tests.pose.tracking.test_track_video import ColorFinder, read_lines

SIZE_WH = (160, 96)


def draw(index):
    """Return a dark frame with five gray stripes, which are the digits of its number."""
    stripes = np.array([110 if index >> digit & 1 else 40 for digit in range(5)], np.uint8)
    return np.ascontiguousarray(np.broadcast_to(stripes.repeat(32)[None, :, None], (SIZE_WH[1], SIZE_WH[0], 3)))


def read_shown(path):
    """Return the time and the number of every frame of a file."""
    frames = list(read_frames(path))
    digits = [frame.image.reshape(SIZE_WH[1], 5, -1).mean(axis=(0, 2)) > 75 for frame in frames]
    return [(frame.time_s, int(each @ 2 ** np.arange(5))) for frame, each in zip(frames, digits)]


class Camera(ColorFinder):
    """Finds people in frames of a camera that gives them at some times, whatever camera is asked for."""

    def __init__(self, times):
        self.times = times

    def stream(self, source, *, batch_size=1):
        frames = [Frame(draw(n), "camera 0", None, n, time_s) for n, time_s in enumerate(self.times)]
        return stream_results(self, iter(frames), batch_size)


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "out.webm"])
@pytest.mark.parametrize(
    "times",
    [
        [0.1 * n for n in range(20)],  # 10 frames per second
        [3.0 + 0.25 * n for n in range(8)],  # slow, after three seconds to start
        [0.0, 0.1, 0.2, 2.2, 2.3, 2.4],  # a pause
        [1 / 60 * n for n in range(20)],  # faster than the file
    ],
)
def test_a_camera_is_recorded_at_its_speed(tmp_path, times, name):
    *results, summary = track_video(Camera(times), 0, tmp_path / name)
    assert (summary.error, len(results), summary.num_frames) == (None, len(times), len(times))
    info = describe_video(summary.video)
    length_s = times[-1] - times[0]
    assert info.num_frames / info.fps == pytest.approx(length_s + 1 / 30, abs=1.5 / 30)
    shown = read_shown(summary.video)
    for n, time_s in enumerate(times[:-1]):
        middle_s = (time_s + times[n + 1]) / 2 - times[0]
        found = [number for start_s, number in shown if start_s <= middle_s + 1e-6][-1]
        assert abs(times[found] - time_s) <= 1.01 / 30
    assert [line["time"] for line in read_lines(summary.lines)] == pytest.approx(times)


def write_varying(path, places, fps=60):
    """Write a file whose frames lie at some multiples of 1 / fps."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, SIZE_WH)
    for number in range(len(places)):
        writer.write(draw(number % 20))
    writer.release()
    content = path.read_bytes()
    start = content.index(b"moov") - 4  # which comes last, so that it can grow
    path.write_bytes(content[:start] + replace_times(content[start:], [*np.diff(places).tolist(), 1]))
    return path


def replace_times(content, durations):
    """Return boxes of an MP4 file, with other durations of the frames in units of the frame rate."""
    changed = b""
    while content:
        size, name = struct.unpack(">I4s", content[:8])
        inner, content = content[8:size], content[size:]
        if name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            inner = replace_times(inner, durations)
        elif name == b"stts":
            unit = struct.unpack_from(">I", inner, 12)[0]
            inner = struct.pack(">II", 0, len(durations)) + b"".join(struct.pack(">II", 1, unit * n) for n in durations)
        if name != b"edts":  # whose duration would cut the video
            changed += struct.pack(">I4s", len(inner) + 8, name) + inner
    return changed


@pytest.mark.parametrize(
    "places",
    [
        [2 * n for n in range(30)] + [60 + 12 * n for n in range(30)],  # 30 frames per second, then 5
        [12 * n for n in range(10)] + [120 + 2 * n for n in range(60)],  # the other way round
        [0, 1, 2, 3, 180, 181, 182, 183, 184, 185],  # a pause
    ],
)
def test_a_varying_frame_rate_does_not_drift(tmp_path, places):
    source = write_varying(tmp_path / "in.mp4", places)
    times = [frame.time_s for frame in read_frames(source)]
    assert times == pytest.approx([place / 60 for place in places], abs=0.002)
    *_, summary = track_video(ColorFinder(), source, tmp_path / "out.mp4")
    info = describe_video(summary.video)
    assert info.num_frames / info.fps == pytest.approx(places[-1] / 60, abs=1.6 / info.fps)
    shown = read_shown(summary.video)
    for n, place in enumerate(places[:-1]):
        between_s = (place + places[n + 1]) / 120
        found = [number for start_s, number in shown if start_s <= between_s + 1e-6][-1]
        error_s = min(abs(times[m] - place / 60) for m in range(len(places)) if m % 20 == found)
        assert error_s <= 1.01 / info.fps
    assert len(read_lines(summary.lines)) == len(places)


@pytest.mark.parametrize("fps", [10.0, 23.976, 25.0, 29.97, 30.0, 59.94])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_constant_frame_rate_keeps_every_frame_once(tmp_path, fps, suffix):
    source = tmp_path / f"in{suffix}"
    with VideoWriter(source, fps) as writer:
        for n in range(20):
            writer.write(draw(n))
    assert measure_fps(source) == pytest.approx(describe_video(source).fps)
    *_, summary = track_video(ColorFinder(), source, tmp_path / "out.mkv")
    assert [number for _, number in read_shown(summary.video)] == list(range(20))


def test_a_wrong_time_stamp_does_not_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("rtmo_plugin.media.video_writer._MAX_GAP_S", 1.0)
    with VideoWriter(tmp_path / "out.avi", 10.0) as writer:
        for time_s in (0.0, 0.1, 1e6, 1e6 + 0.1, 1e6 + 0.2):
            writer.write(draw(0), time_s)
    assert describe_video(tmp_path / "out.avi").num_frames == pytest.approx(15, abs=1)
