"""A video with a varying frame rate is whole, and one without a frame that can be read is an error."""

import shutil
import subprocess

import cv2
import numpy as np
import pytest
from PIL import Image

from rtmo_plugin.media.sources import read_frames


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the program ffmpeg is not installed")
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_a_varying_rate_is_not_an_early_end(tmp_path, suffix):
    path = tmp_path / f"varying{suffix}"
    source = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=2"]
    some = ["-vf", "select='not(mod(n,3))+lt(n,5)'", "-vsync", "vfr"]
    subprocess.run(["ffmpeg", "-loglevel", "error", *source, *some, path], check=True)
    frames = list(read_frames(path))
    assert [frame.error for frame in frames] == [None] * 10
    assert [round(frame.time_s, 1) for frame in frames] == [0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.9, 1.2, 1.5, 1.8]


def make_video(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(20):
        writer.write(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()


def test_a_missing_end_is_still_an_early_end(tmp_path):
    path = tmp_path / "cut.avi"
    make_video(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    *frames, last = read_frames(path)
    assert 1 < len(frames) < 20
    assert last.error == f"{path} ends early: only {len(frames)} of its 20 frames can be read."


def test_no_frame_at_all_is_an_error(tmp_path):
    path = tmp_path / "cut.gif"
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)).convert("P")
    image.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (frame,) = read_frames([path])
    assert frame.image is None
    assert frame.error == f"{path} has no frame that can be read."
