"""Video in, video and JSON lines out: on squares of a color each, which a finder of colors takes for people."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from rtmo_plugin.errors import ConfigError, MissingFileError, OutputError
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.media import video_writer
from rtmo_plugin.media.sources import read_frames
from rtmo_plugin.media.video_writer import VideoWriter
from rtmo_plugin.pose.streaming import stream_results
from rtmo_plugin.pose.tracking.track_video import TrackSummary, track_video
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.model_info import ModelInfo

NUM_FRAMES = 16


class ColorFinder:
    """Takes everything bright in the red or blue channel for a person, whose keypoints lie in a square."""

    info = ModelInfo(COCO)

    def predict_batch(self, images, names=None):
        return [self._find(image) for image in images]

    def stream(self, source, *, batch_size=1):
        return stream_results(self, read_frames(source), batch_size)

    def _find(self, image):
        boxes = [cv2.boundingRect((image[..., channel] > 128).astype(np.uint8)) for channel in (0, 2)]
        boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes if w], float).reshape(-1, 4)
        share = np.linspace(0, 1, 17)[:, None]
        keypoints = boxes[:, None, :2] * (1 - share) + boxes[:, None, 2:] * share
        ones = np.ones(len(boxes))
        return Detections(boxes, ones * 0.9, keypoints, np.ones((len(boxes), 17)), np.zeros(len(boxes), np.int64))


def draw_frame(index, size_wh=(160, 96)):
    frame = np.full((size_wh[1], size_wh[0], 3), 30, np.uint8)
    frame[20:60, 10 + 6 * index : 40 + 6 * index, 0] = 255
    frame[40:80, 120 - 6 * index : 150 - 6 * index, 2] = 255
    return frame


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    with VideoWriter(path, 25.0) as writer:
        for index in range(NUM_FRAMES):
            writer.write(draw_frame(index))
    return path


def count_frames(path):
    return sum(frame.image is not None for frame in read_frames(path))


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(source, out, **options):
    *results, summary = track_video(ColorFinder(), source, out, **options)
    assert isinstance(summary, TrackSummary)
    return results, summary


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "out.webm"])
def test_video_and_lines_have_every_frame_with_its_ids(clip, tmp_path, name):
    results, summary = run(clip, tmp_path / name, batch_size=3)
    assert (summary.num_frames, summary.num_ids, summary.error) == (NUM_FRAMES, 2, None)
    assert count_frames(summary.video) == len(results) == NUM_FRAMES
    lines = read_lines(summary.lines)
    assert [line["index"] for line in lines] == list(range(NUM_FRAMES))
    assert np.diff([line["time"] for line in lines]) == pytest.approx(0.04, abs=1e-3)
    for line in lines:
        left = {person["id"]: person["box"][0] for person in line["people"]}
        assert left == pytest.approx({1: 10 + 6 * line["index"], 2: 120 - 6 * line["index"]}, abs=3)


def test_ids_are_drawn_in_the_color_of_the_person(clip, tmp_path):
    results, _ = run(clip, tmp_path)
    assert (tmp_path / "walk.mp4").is_file()
    first, last = results[0], results[-1]
    assert (first.plot() != first.image).any()
    assert first[first.ids == 2].plot()[60, 135].tolist() == last[last.ids == 2].plot()[60, 45].tolist()


def test_who_has_no_id_is_written_down_but_not_drawn(clip, tmp_path):
    def measure_drawing(**options):
        _, summary = run(clip, tmp_path, **options)
        pairs = zip(read_frames(clip), read_frames(summary.video), strict=True)
        ids = {person["id"] for line in read_lines(summary.lines) for person in line["people"]}
        return ids, np.mean([cv2.absdiff(before.image, after.image).mean() for before, after in pairs])

    nobody, little = measure_drawing(start_score=0.95)
    people, much = measure_drawing()
    assert (nobody, people) == ({-1}, {1, 2})
    assert much > little + 2


def test_a_video_that_ends_early_is_told_and_nothing_is_lost(clip, tmp_path):
    whole = tmp_path / "whole.avi"
    with VideoWriter(whole, 25.0) as writer:
        for index in range(NUM_FRAMES):
            writer.write(draw_frame(index))
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    _, summary = run(cut, tmp_path / "out")
    assert "ends early" in summary.error
    assert 0 < summary.num_frames < NUM_FRAMES
    assert count_frames(summary.video) == len(read_lines(summary.lines)) == summary.num_frames


def test_a_full_disk_is_told_and_nothing_is_lost(clip, tmp_path, monkeypatch):
    frames = track_video(ColorFinder(), clip, tmp_path / "out.mp4")
    for _ in range(5):
        next(frames)
    monkeypatch.setattr(video_writer, "_RESERVE", 1 << 60)  # no disk has so much left
    *_, summary = frames
    assert "is full" in summary.error
    assert summary.num_frames == count_frames(summary.video) == len(read_lines(summary.lines)) == 5


def write_often(path, frame):
    with VideoWriter(path, 25.0) as writer:
        for _ in range(100):
            writer.write(frame)


def test_a_limit_of_file_sizes_is_told_and_nothing_is_lost(clip, tmp_path, monkeypatch):
    """OpenCV goes on as if nothing had happened when it is reached, and the file cannot be read."""
    resource = pytest.importorskip("resource", reason="this system has no limits of file sizes (`resource`)")
    monkeypatch.setattr(video_writer, "_RESERVE", 50_000)
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    frame = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    video = tmp_path / "noise.avi"
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000 + 2 * frame.nbytes, hard))
    try:
        with pytest.raises(OutputError, match="is full: it holds the frames so far"):
            write_often(video, frame)
        assert 0 < count_frames(video) < 100
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        with pytest.raises(OutputError, match=r"The disk is too full for .*none\.avi"):
            VideoWriter(tmp_path / "none.avi", 25.0).write(frame)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_whoever_stops_early_has_what_was_done(clip, tmp_path):
    frames = track_video(ColorFinder(), clip, tmp_path / "out.mp4")
    for _ in range(4):
        next(frames)
    frames.close()  # as Ctrl-C does
    assert count_frames(tmp_path / "out.mp4") == len(read_lines(tmp_path / "out.jsonl")) == 4


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("nowhere.mp4", MissingFileError, "The video nowhere.mp4 does not exist"),
        (77, MissingFileError, "Camera 77 is missing"),
        ("photo.jpg", ConfigError, "is not a video: give a video file"),
    ],
)
def test_what_is_not_there_is_one_sentence_and_no_file(tmp_path, source, error, words):
    with pytest.raises(error, match=words):
        run(source, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_the_source_is_not_replaced(clip):
    before = clip.read_bytes()
    with pytest.raises(OutputError, match="would be overwritten"):
        run(clip, clip)
    with pytest.raises(OutputError, match="would be overwritten"):
        run(clip, clip.parent)
    assert clip.read_bytes() == before


def test_only_videos_are_written(tmp_path):
    with pytest.raises(ConfigError, match=r"choose one of .mp4"):
        VideoWriter(tmp_path / "out.txt", 25.0)
    with VideoWriter(tmp_path / "odd.mp4", 25.0) as writer:
        writer.write(np.zeros((33, 41, 3), np.uint8))
        writer.write(np.zeros((60, 60, 3), np.uint8))
    assert {frame.image.shape for frame in read_frames(tmp_path / "odd.mp4")} == {(32, 40, 3)}


def test_tracking_needs_no_torch():
    heavy = "torch", "mmengine", "mmpose", "scipy"
    code = (
        f"import sys, rtmo_plugin.pose.tracking.track_video; print([name for name in {heavy} if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
