"""Several sources on the command line, and what the command leaves when neither --out nor --json is given."""

import json

import cv2
import pytest

from tests.conftest import run_command
from tests.faults.test_29_originals_stay import write_clip, write_images


@pytest.fixture
def model(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path, "photos/a.png", "photos/b.jpg", "c.png")
    write_clip(tmp_path / "walk.avi")
    return files["decoded"]


def test_the_names_that_a_shell_makes_of_a_pattern(model, capsys):
    code, out, _ = run_command(capsys, "predict", model, "photos/a.png", "photos/b.jpg", "c.png", "--json")
    assert code == 0
    assert [json.loads(line)["image"] for line in out.splitlines()] == ["photos/a.png", "photos/b.jpg", "c.png"]
    assert [json.loads(line)["index"] for line in out.splitlines()] == [0, 1, 2]


def test_folders_patterns_and_videos_beside_each_other(model, tmp_path, capsys):
    code, out, _ = run_command(capsys, "predict", model, "photos", "*.png", "walk.avi", "--out", "found")
    assert (code, out.splitlines()[-1].partition(" in ")[2]) == (
        0,
        "3 images and 3 frames: plots and predictions.json in found",
    )
    names = {"predictions.json", "a.png", "b.jpg", "c.png", *(f"walk_{index:06d}.jpg" for index in range(3))}
    assert {path.name for path in (tmp_path / "found").iterdir()} == names


@pytest.mark.parametrize("missing", ["nowhere.png", "photos/*.tif", "nowhere/"])
def test_a_source_that_is_not_there_is_reported_before_any_work(model, tmp_path, capsys, missing):
    code, out, err = run_command(capsys, "predict", model, "c.png", missing, "--out", "found")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert missing.rstrip("/") in err
    assert not (tmp_path / "found").exists()


def test_without_out_and_json_a_table_is_printed(model, tmp_path, capsys):
    before = set(tmp_path.rglob("*"))
    code, out, _ = run_command(capsys, "predict", model, "c.png", "photos/a.png", "--score-thr", 0.2)
    _, lines, _ = run_command(capsys, "predict", model, "c.png", "photos/a.png", "--score-thr", 0.2, "--json")
    header, *rows, last = out.splitlines()
    assert header.split() == ["score", "x1", "y1", "x2", "y2", "keypoints", "image"]
    people = [(line["image"], person) for line in map(json.loads, lines.splitlines()) for person in line["people"]]
    assert len(people) > 1
    for row, (image, person) in zip(rows, people, strict=True):
        score, *box, _, name = row.split()
        assert (float(score), name) == (pytest.approx(person["score"], abs=0.006), image)
        assert [float(value) for value in box] == pytest.approx(person["box"], abs=0.06)
    assert last.startswith(f"{len(people)} people in 2 images; --out DIR")
    assert (code, set(tmp_path.rglob("*"))) == (0, before)


def test_an_image_without_people_is_a_row_too(model, capsys):
    code, out, _ = run_command(capsys, "predict", model, "c.png", "--score-thr", 1)
    _, row, last = out.splitlines()
    assert (code, row.split()) == (0, ["-"] * 6 + ["c.png"])
    assert last.startswith("0 people in 1 image;")


def test_a_job_takes_several_sources(model, tmp_path, capsys):
    job = ("predict", model, "c.png", "photos", "walk.avi", "--records", "jsonl", "--out", "records")
    code, out, err = run_command(capsys, *job)
    assert (code, err) == (0, "2 of 2 shards are to do: 4 images and videos\n")
    assert " in 3 images and 3 frames: records in " in out


def test_an_image_that_cannot_be_used_is_skipped(model, tmp_path, capsys):
    (tmp_path / "bad.png").write_text("no image")
    code, _, err = run_command(capsys, "predict", model, "bad.png", "c.png", "--out", "found")
    assert (code, err.count("skipped: bad.png")) == (1, 1)
    assert cv2.imread("found/c.png") is not None
