"""Encoders of H.264 beside the program ``ffmpeg``, and the suffix that a folder gets."""

import cv2
import numpy as np
import pytest

from rtmo_plugin.media import video_writer
from rtmo_plugin.media.pyav_writer import has_pyav
from rtmo_plugin.media.video import describe_video
from rtmo_plugin.media.video_writer import VideoWriter, choose_suffix
from rtmo_plugin.pose.tracking.track_video import choose_files

needs_pyav = pytest.mark.skipif(not has_pyav(), reason="PyAV with libx264 is not installed: pip install av")


def write_gray(path, num_frames=12, fps=29.97):
    with VideoWriter(path, fps) as writer:
        for index in range(num_frames):
            writer.write(np.full((66, 98, 3), index * 20, np.uint8))
    return writer


@needs_pyav
def test_pyav_writes_what_opencv_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(video_writer, "CODECS", {".mp4": ("pyav",)})
    writer = write_gray(tmp_path / "out.mp4")
    assert (writer.codec, writer.plays_in_browsers) == ("pyav", True)
    info = describe_video(tmp_path / "out.mp4")
    assert (info.size_wh, info.num_frames) == ((98, 66), 12)
    assert info.fps == pytest.approx(29.97, abs=1e-3)
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") in (b"avc1", b"h264")
    grays = [capture.read()[1].mean() for _ in range(12)]
    assert grays == pytest.approx([index * 20 for index in range(12)], abs=4)  # video levels, rounded


@pytest.mark.parametrize(("program", "package", "suffix"), [("ffmpeg", False, ".mp4"), (None, True, ".mp4")])
def test_a_folder_gets_mp4_where_h264_is_written(tmp_path, monkeypatch, program, package, suffix):
    monkeypatch.setattr(video_writer, "find_ffmpeg", lambda: program)
    monkeypatch.setattr(video_writer, "has_pyav", lambda: package)
    assert choose_files("walk.avi", tmp_path)[0] == tmp_path / f"walk{suffix}"


def test_a_folder_gets_what_browsers_play_without_program_and_package(tmp_path, monkeypatch):
    monkeypatch.setattr(video_writer, "find_ffmpeg", lambda: None)
    monkeypatch.setattr(video_writer, "has_pyav", lambda: False)
    writer = write_gray(tmp_path / f"out{choose_suffix()}", num_frames=2)
    assert writer.plays_in_browsers
    assert describe_video(writer.path).num_frames == 2
