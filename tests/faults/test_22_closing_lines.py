"""What commands say when they are done: right folders, sizes and words, one way to write paths, a next step."""

from pathlib import Path

import pytest

from rtmo_plugin.cli.output import count_detections
from rtmo_plugin.demo import DemoResult
from rtmo_plugin.engine.train_result import TrainResult
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.exporting import ExportResult
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.runtime.model_files import list_model_files
from rtmo_plugin.runtime.model_info import ModelInfo
from rtmo_plugin.wording import count, show_path
from tests.conftest import run_command
from tests.faults.test_29_originals_stay import write_clip, write_images


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_lines(text):
    """Return the values of lines such as ``name:   value``."""
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in str(text).splitlines())}


def test_the_curves_are_where_the_line_says(place):
    log_dir = place / "work_dirs" / "mine" / "20260101_000000"
    log_dir.mkdir(parents=True)
    result = TrainResult({}, log_dir.parent / "epoch_6.pth", log_dir)
    assert "curves" not in read_lines(result)  # before the first validation there are none
    (log_dir.parent / "curves.png").write_text("")
    lines = read_lines(result)
    assert lines["curves"] == "work_dirs/mine/curves.png"
    assert lines["log"] == "work_dirs/mine/20260101_000000"
    assert lines["checkpoint"] == "work_dirs/mine/epoch_6.pth"
    assert Path(lines["curves"]).is_file()


@pytest.mark.parametrize("is_absolute", [True, False])
def test_the_demo_writes_paths_in_one_way_and_names_the_next_step(place, is_absolute):
    folder = place / "work_dirs" / "demo" if is_absolute else Path("work_dirs/demo")
    checkpoint = place / "work_dirs" / "demo" / "epoch_6.pth"
    lines = str(DemoResult(0.5, 7.0, folder, checkpoint, "configs/rtmo-t_synthetic.py")).splitlines()
    assert not any(str(place) in line for line in lines)
    values = read_lines("\n".join(lines))
    assert values["checkpoint"] == "work_dirs/demo/epoch_6.pth"
    assert values["curves"] == "work_dirs/demo/curves.png"
    command = "rtmo export configs/rtmo-t_synthetic.py work_dirs/demo/epoch_6.pth --out work_dirs/demo/demo.onnx"
    assert values["next"] == command
    assert "none was written" in str(DemoResult(None, 7.0, folder, None))


def test_sizes_hold_the_weights(place):
    for name, size in {"demo.xml": 1_200_000, "demo.bin": 26_800_000, "other.bin": 10**6, "demo.npz": 10**6}.items():
        (place / name).write_bytes(bytes(size))
    differences = Differences(num_images=1, num_people=1)
    text = ExportResult(place / "demo.xml", ModelInfo(COCO), differences).describe()
    assert text.startswith("demo.xml: 28.0 MB, with .bin beside it, ")
    assert "1 image, 1 person; " in text
    assert [path.name for path in list_model_files(place / "demo.xml", "raw")] == ["demo.xml", "demo.bin", "demo.npz"]


def test_frames_of_a_video_have_detections_and_not_people():
    assert count_detections(132, 0, 72) == "132 detections in 72 frames"
    assert count_detections(1, 1) == "1 person in 1 image"
    assert count_detections(0, 0) == "0 people in 0 images"
    assert count_detections(1, 2, 1) == "1 detection in 2 images and 1 frame"
    assert count_detections(1, 1, 1) == "1 detection in 1 image and 1 frame"
    assert [count(number, "shard") for number in (0, 1, 2)] == ["0 shards", "1 shard", "2 shards"]


def test_the_command_says_so(files, place, capsys):
    write_clip(place / "walk.avi", 1)
    write_images(place, "a.png")
    what = "plots and predictions.json in out"
    for source, words in {"walk.avi": f" in 1 frame: {what}", "a.png": f" in 1 image: {what}"}.items():
        code, out, _ = run_command(capsys, "predict", files["decoded"], source, "--out", "out")
        assert (code, out.partition(" in ")[1] + out.partition(" in ")[2].rstrip()) == (0, words)


def test_a_finished_job_says_that_nothing_is_left(files, place, capsys):
    write_images(place, "a.png", "b.png", "c.png")
    job = ("predict", files["decoded"], *("a.png", "b.png", "c.png"), "--records", "jsonl", "--shard-size", 2)
    _, first, _ = run_command(capsys, *job, "--out", "out")
    assert first.endswith(" in 3 images: records in out\n")
    code, again, _ = run_command(capsys, *job, "--out", place / "out")
    assert (code, again) == (0, "2 shards done before, nothing left to do: records in out\n")
    (last,) = (place / "out").glob("*000001*.jsonl")
    last.unlink()
    _, rest, _ = run_command(capsys, *job, "--out", "out")
    assert rest.endswith(" in 1 image, and 1 shard done before: records in out\n")


def test_paths_elsewhere_are_whole(place, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert show_path(elsewhere) == str(elsewhere)
    assert show_path(place / "x") == show_path("x") == "x"
