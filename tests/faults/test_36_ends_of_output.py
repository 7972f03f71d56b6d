"""Closed outputs, names with control characters, empty values: each ends at once with a sentence."""

import re
import subprocess
import sys

import cv2
import numpy as np
import pytest

from rtmo_plugin.media.plot_plan import PlotPlan
from rtmo_plugin.media.single_images import is_web
from tests.conftest import ROOT, run_command


@pytest.fixture
def images(tmp_path):
    names = [f"{index}.png" for index in range(3)] + ["\x1b[31mred\nline.png"]
    for name in names:
        assert cv2.imwrite(str(tmp_path / name), np.zeros((40, 60, 3), np.uint8))
    return tmp_path


def test_a_table_ends_when_its_reader_has_gone(tiny_file, images):
    command = [sys.executable, "-m", "rtmo_plugin", "predict", str(tiny_file), str(images)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        try:
            assert process.wait(120) == 1
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


def test_names_in_a_table_are_shown_and_not_obeyed(tiny_file, images, capsys):
    (images / "bad\x1b[2J.png").write_text("no image")
    code, out, err = run_command(capsys, "predict", tiny_file, images)
    assert code == 1
    assert "\x1b" not in out + err
    assert r"\x1b[31mred\nline.png" in out
    assert r"bad\x1b[2J.png is not an image" in err


@pytest.mark.parametrize("number", ["1" * 5000, "9" * 30, "9" * 12, "100"])
def test_cameras_of_any_number_are_one_sentence(tiny_file, number, capsys):
    code, _, err = run_command(capsys, "predict", tiny_file, number)
    assert code == 2
    assert "Traceback" not in err
    assert any(words in err for words in ("is missing", "does not exist", "too long"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("predict m.onnx a.png --out", "--out"),
        ("track m.onnx a.mp4 --out", "--out"),
        ("serve m.onnx --allow-host name", "--allow-host"),
        ("benchmark m.onnx --images", "--images"),
        ("train rtmo-t_coco --cfg-options a=1", "--cfg-options"),
        ("predict m.onnx", "source"),
        ("zoo path", "NAME"),
        ("info", "what"),
    ],
)
def test_an_empty_value_is_refused_by_the_name_of_its_argument(arguments, named, capsys):
    code, _, err = run_command(capsys, *arguments.split(), "")
    assert code == 2
    assert re.search(f"error: argument {named}: the value is empty \\(see rtmo [a-z ]+ --help\\)\n$", err)


def test_one_image_given_three_times_keeps_its_name(images, tmp_path):
    plan = PlotPlan(tmp_path / "out", [f"{images}/0.png", f"{images}/0.png", f"{images}/./0.png"])
    assert list(plan._images.values()) == ["0.png"]


def test_schemes_are_read_in_any_case():
    assert is_web("HTTPS://host/a.jpg")
    assert is_web("Http://host/a.jpg")
    assert not is_web("httpx.jpg")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_end_nothing(closed):
    command = f'"{sys.executable}" -m rtmo_plugin zoo list {closed}'
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["predict", "track"])
def test_an_empty_source_is_refused(tiny_file, tmp_path, capsys, command):
    code, _, err = run_command(capsys, command, tiny_file, "--out", tmp_path / "out", "--", "")
    assert code == 2
    assert "the value is empty" in err
