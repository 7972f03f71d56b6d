"""``track`` writes videos that browsers play if the machine has a codec for them, and says so if not."""

import json
import shutil
import stat
import subprocess
import sys

import cv2
import pytest

from rtmo_plugin.errors import OutputError
from rtmo_plugin.media import ffmpeg_program
from rtmo_plugin.media.video import describe_video
from rtmo_plugin.media.video_writer import VideoWriter
from tests.browser import CHROMIUM, Browser
from tests.conftest import run_command
from tests.faults.test_29_originals_stay import write_clip
from tests.pose.tracking.test_track_video import draw_frame

NUM_FRAMES = 12
PLAY = """(async (address) => {
  const video = Object.assign(document.createElement("video"), { src: address, muted: true });
  return new Promise((resolve) => {
    video.onerror = () => resolve([0, 0, 0]);
    video.onended = () => resolve([video.videoWidth, video.videoHeight, video.duration]);
    video.play().catch(() => resolve([0, 0, 0]));
  });
})"""


def write_walk(path, num_frames=NUM_FRAMES):
    with VideoWriter(path, 10.0) as writer:
        for index in range(num_frames):
            writer.write(draw_frame(index % NUM_FRAMES))
    return writer


def play(path, folder):
    """Return width, height and seconds of a file that Chromium plays to its end, or zeros."""
    (folder / "page.html").write_text("<!doctype html><title>video</title>")
    with Browser(folder) as browser:
        browser.open((folder / "page.html").as_uri())
        return browser.evaluate(f"({PLAY})({json.dumps(path.as_uri())})")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to play with")
@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
def test_the_writer_knows_whether_a_browser_plays_its_file(tmp_path, name):
    writer = write_walk(tmp_path / name)
    width, height, seconds = play(tmp_path / name, tmp_path)
    expected = (160, 96, pytest.approx(NUM_FRAMES / 10, abs=0.11)) if writer.plays_in_browsers else (0, 0, 0)
    assert (width, height, seconds) == expected
    assert writer.plays_in_browsers or name == "out.mp4"


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.webm", "out.avi", "out.mkv"])
def test_nothing_is_printed_about_codecs(tmp_path, name):
    code = f"""
import numpy as np
from rtmo_plugin.media.video_writer import VideoWriter
with VideoWriter({str(tmp_path / name)!r}, 10.0) as writer:
    writer.write(np.zeros((64, 96, 3), np.uint8))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert describe_video(tmp_path / name).size_wh == (96, 64)


def test_the_command_says_where_no_browser_plays_the_file(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("rtmo_plugin.media.video_writer.CODECS", {".mp4": ("mp4v",), ".webm": ("VP80",)})
    write_clip(tmp_path / "walk.avi")
    for name, is_said in (("out.mp4", True), ("out.webm", False)):
        code, _, err = run_command(capsys, "track", files["decoded"], tmp_path / "walk.avi", "--out", tmp_path / name)
        assert (code, "browsers do not play" in err, err.count("\n")) == (0, is_said, int(is_said))


FAKE = """#!{python}
import sys
if "-encoders" in sys.argv:
    print(" V....D libx264  H.264")
    sys.exit()
content = sys.stdin.buffer.read({num_bytes})
{then}
"""


def install(folder, monkeypatch, then, num_bytes=-1):
    """Put a program of the name ``ffmpeg`` into the path."""
    program = folder / "ffmpeg"
    program.write_text(FAKE.format(python=sys.executable, then=then, num_bytes=num_bytes))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("rtmo_plugin.media.video_writer.CODECS", {".mp4": ("ffmpeg", "mp4v")})
    ffmpeg_program.find_ffmpeg.cache_clear()


@pytest.fixture(autouse=True)
def _forget():
    yield
    ffmpeg_program.find_ffmpeg.cache_clear()


def test_the_program_gets_every_frame(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, 'open(sys.argv[-1].removeprefix("file:"), "wb").write(content)')
    writer = write_walk(tmp_path / "out.mp4")
    expected = b"".join(draw_frame(index).tobytes() for index in range(NUM_FRAMES))
    assert (tmp_path / "out.mp4").read_bytes() == expected
    assert (writer.codec, writer.plays_in_browsers) == ("ffmpeg", True)


@pytest.mark.parametrize("num_bytes", [-1, 1000])
def test_a_program_that_fails_is_one_sentence_and_keeps_the_older_file(tmp_path, monkeypatch, num_bytes):
    then = 'print("noise"); print("out of pens.", file=sys.stderr); sys.exit(3)'
    install(tmp_path, monkeypatch, then, num_bytes)
    (tmp_path / "out.mp4").write_text("older")
    with pytest.raises(OutputError, match=r"ffmpeg .*: out of pens\.$"):
        write_walk(tmp_path / "out.mp4", num_frames=200)
    assert (tmp_path / "out.mp4").read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ffmpeg", "out.mp4"]


def test_a_program_without_the_encoder_is_not_used(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "")
    (tmp_path / "ffmpeg").write_text(f"#!{sys.executable}\nprint('mpeg4')\n")
    assert write_walk(tmp_path / "out.mp4").codec == "mp4v"
    assert describe_video(tmp_path / "out.mp4").num_frames == NUM_FRAMES


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the program ffmpeg is not installed")
def test_the_real_program_writes_what_opencv_reads(tmp_path, monkeypatch):
    monkeypatch.setattr("rtmo_plugin.media.video_writer.CODECS", {".mp4": ("ffmpeg",)})
    write_walk(tmp_path / "out.mp4")
    info = describe_video(tmp_path / "out.mp4")
    assert (info.size_wh, info.fps, info.num_frames) == ((160, 96), 10, NUM_FRAMES)
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") in (b"avc1", b"h264")
