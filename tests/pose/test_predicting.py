"""``rtmo predict`` on an exported file: a line of JSON an image, pictures, and an exit code."""

import json

import cv2
import numpy as np
import pytest

from rtmo_plugin.cli.predict import choose_streams
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.conftest import run_command
from tests.tiny_files import make_image


def test_images_become_lines_and_pictures(files, tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    image = make_image()
    cv2.imwrite(str(photos / "a.png"), image)
    (photos / "b.jpg").write_bytes(b"no image")
    code, printed, _ = run_command(
        capsys, "predict", files["decoded"], photos, "--json", "--out", out, "--score-thr", 0.2
    )
    assert code == 1  # not every image could be used
    first, second = map(json.loads, printed.splitlines())
    people = ExportedModel(files["decoded"], score_thr=0.2).predict(image)
    assert len(people) > 0
    assert [person["score"] for person in first["people"]] == pytest.approx(people.scores.tolist(), abs=1e-4)
    assert first["people"][0]["keypoints"][0][:2] == pytest.approx(people.keypoints[0, 0].tolist(), abs=0.01)
    assert second["error"].endswith("b.jpg is not an image: give JPEG, PNG, WebP, BMP or TIFF.")
    drawn = cv2.imread(str(out / "a.png"))
    assert drawn.shape == image.shape
    assert (drawn != image).any()
    assert not (out / "b.jpg").exists()


def test_several_images_are_computed_side_by_side_unless_told(files, tmp_path):
    named, photos = str(files["decoded"]), str(tmp_path)
    assert choose_streams(named, photos, None) == {"streams": None}  # Pose's own choice
    assert choose_streams(named, photos, 1) == {"streams": 1}
    assert choose_streams(named, "photo.jpg", None) == choose_streams("mine.pth", photos, None) == {}
    assert choose_streams(named, 0, None) == {}  # a camera


def test_people_are_counted_for_people(files, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), make_image())
    code, printed, _ = run_command(capsys, "predict", files["decoded"], tmp_path / "a.png", "--score-thr", 1)
    assert (code, printed.splitlines()[-1].partition(";")[0]) == (0, "0 people in 1 image")


def test_info_says_what_a_file_is(files, capsys):
    code, printed, _ = run_command(capsys, "info", files["raw"], "--json")
    values = json.loads(printed)
    assert (code, values["cut"], values["size_wh"], values["keypoint_names"][0]) == (0, "raw", [96, 64], "nose")


def test_a_folder_is_not_drawn_over(files, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), make_image())
    code, _, err = run_command(capsys, "predict", files["decoded"], tmp_path, "--out", tmp_path)
    sentence = f"error: {tmp_path / 'a.png'} is an input and would be overwritten; choose another output.\n"
    assert (code, err) == (2, sentence)


def test_a_video_is_tracked(files, tmp_path, capsys):
    video = cv2.VideoWriter(str(tmp_path / "in.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    for _ in range(3):
        video.write(np.ascontiguousarray(make_image(96, 64)))
    video.release()
    out = tmp_path / "out.avi"
    code, printed, _ = run_command(capsys, "track", files["decoded"], tmp_path / "in.avi", "--out", out, "--json")
    lines = [json.loads(line) for line in printed.splitlines()]
    assert (code, [line["index"] for line in lines]) == (0, [0, 1, 2])
    assert out.is_file()
    assert lines == [json.loads(line) for line in out.with_suffix(".jsonl").read_text().splitlines()]


def test_images_of_one_name_do_not_replace_each_other(files, tmp_path, capsys):
    for folder in ("first", "second", "third"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "photos" / folder / "a.png"), make_image())
    out = tmp_path / "out"
    code, _, _ = run_command(capsys, "predict", files["decoded"], tmp_path / "photos/*/a.png", "--out", out)
    assert (code, {path.name for path in out.iterdir()}) == (0, {"a.png", "a_2.png", "a_3.png", "predictions.json"})
