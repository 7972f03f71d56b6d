"""Stopped commands leave files that can be read, and odd names and places are one sentence."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from rtmo_plugin.media.sources import read_frames
from tests.conftest import run_command
from tests.faults.test_29_originals_stay import write_clip, write_images
from tests.tiny_files import make_image

LONG = "n" * 5000


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(files):
    return files["decoded"]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "long.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    images = [np.ascontiguousarray(make_image(96, 64, index)) for index in range(5)]
    for index in range(3000):
        writer.write(images[index % 5])
    writer.release()
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stopped_command_leaves_a_video_that_can_be_read(model, long_clip, place, number):
    (place / "out.mp4").write_text("older")
    command = [sys.executable, "-m", "rtmo_plugin", "track", str(model), str(long_clip), "--out", "out.mp4"]
    environment = {"PYTHONPATH": os.environ["PYTHONPATH"], "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True, env=environment) as process:
        end = time.monotonic() + 60
        lines = place / "out.jsonl"
        while not (lines.exists() and lines.read_text().count("\n") > 20):
            assert time.monotonic() < end
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 128 + number)
    assert "frames are kept in out.mp4 and out.jsonl" in err
    assert "Traceback" not in err
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    frames = list(read_frames(place / "out.mp4"))
    assert 20 < len(frames) < 3000
    assert [frame.error for frame in frames] == [None] * len(frames)
    assert abs(len(frames) - len(found)) <= 1  # the one that was being written
    assert not list(place.glob("*.part*")) + list(place.glob(".*"))


def test_an_output_that_cannot_be_written_is_reported_before_the_work(model, place, capsys, monkeypatch):
    write_clip(place / "walk.avi")
    (place / "file").write_text("")
    (place / "out.mp4").mkdir()
    monkeypatch.setattr("rtmo_plugin.pose.pose.Pose.stream", None)  # which must not be reached
    for out, words in {
        "file/out.mp4": "Not a directory",
        "out.mp4": "out.mp4 is a folder",
        f"{'n' * 251}.mp4": "bytes; at most 255 are possible",  # of the lines beside it
        f"{LONG}/out.mp4": "File name too long",
        "out.txt": "choose one of .mp4",
        "clip.gif": "choose one of .mp4",
        "/proc/out.mp4": "written",
    }.items():
        code, printed, err = run_command(capsys, "track", model, "walk.avi", "--out", out)
        assert (code, printed, err.count("\n")) == (2, "", 1), err
        assert words in err
    for out in ("file/out", "/proc/out", LONG):
        write_images(place, "a.png")
        code, printed, err = run_command(capsys, "predict", model, "a.png", "--out", out)
        assert (code, printed, err.count("\n")) == (2, "", 1), err


def test_an_image_with_a_very_long_name_does_not_end_the_run(model, place, capsys):
    names = ["n" * 251 + ".png", "m" * 250 + ".jpeg", "a.png"]
    write_images(place / "photos", *names)
    (place / "photos" / names[0]).rename(place / "photos" / ("n" * 251 + ".tga"))
    code, _, err = run_command(capsys, "predict", model, "photos/*", "--out", "out")
    assert (code, err) == (0, "")
    assert len([each for each in (place / "out").iterdir() if each.name != "predictions.json"]) == 3


def test_a_video_with_a_very_long_name_is_tracked(model, place, capsys):
    write_clip(place / ("n" * 251 + ".avi"))
    code, _, err = run_command(capsys, "track", model, "n" * 251 + ".avi", "--out", "out")
    assert code == 0, err
    assert sorted(path.suffix for path in (place / "out").iterdir()) == [".jsonl", ".mp4"]


@pytest.mark.parametrize(
    "source",
    [LONG, f"{LONG}.jpg", f"{LONG}.mp4", f"{LONG}/*.jpg", f"*{LONG}", "http://[::1", "http://[::1/a.mp4", "rtsp://[::1",
     "http://", "http://a b/", f"http://localhost:1/{LONG}", "http://localhost:99999/a.jpg", "a\udcff.jpg", "-"],
)  # fmt: skip
@pytest.mark.parametrize("command", ["predict", "track"])
def test_odd_names_are_one_sentence(model, place, capsys, command, source):
    code, printed, err = run_command(capsys, command, model, "--out", "out", "--", source)
    assert code in (1, 2), printed
    assert err.count("\n") == 1, err
    assert err.startswith(("error: ", "skipped: "))


@pytest.mark.parametrize(
    "name", [LONG, f"{LONG}.onnx", f"{LONG}.pth", "http://[::1", "http://[::1/a.onnx", "a\udcff.onnx"]
)
@pytest.mark.parametrize("command", ["predict", "track", "info"])
def test_odd_names_of_models_are_one_sentence(place, capsys, command, name):
    write_images(place, "a.png")
    write_clip(place / "a.avi")
    others = {"predict": ["a.png"], "track": ["a.avi", "--out", "out.mp4"], "info": []}[command]
    code, printed, err = run_command(capsys, command, name, *others)
    assert (code, printed, err.count("\n")) == (2, "", 1), err
