"""``dataset.py convert`` as a user runs it."""

import json

import pytest

from rtmo_plugin.labels import read_coco
from tests.labels.conftest import NAMES, make_set
from tests.tools.test_tools import run_in_process


@pytest.fixture
def file(coco, tmp_path):
    path = tmp_path / "people.json"
    path.write_text(json.dumps(coco))
    return path


@pytest.mark.parametrize("name", ["yolo", "labelme", "cvat", "label-studio"])
def test_there_and_back(file, pictures, tmp_path, capsys, name):
    out, back = tmp_path / f"as_{name}", tmp_path / "back.json"
    code, said, err = run_in_process(capsys, "dataset", "convert", file, out, "--to", name, "--split", "val")
    contents = "3 images, 3 annotations, 2 categories: walker (5 keypoints), dancer (5 keypoints)"
    assert (code, said.splitlines()[0], err) == (0, f"{out}: {contents}", "")
    assert "cannot hold it: id of images" in said
    keypoints = ("--keypoints", *NAMES)
    options = {"yolo": ("--images", pictures), "labelme": keypoints, "cvat": (), "label-studio": keypoints}[name]
    code, said, _ = run_in_process(capsys, "dataset", "convert", out, back, "--from", name, "--split", "val", *options)
    assert (code, said) == (0, f"{back}: {contents}\n")
    found, expected = read_coco(back), make_set()
    for key in ("bbox", "keypoints"):
        assert [person[key] for person in found["annotations"]] == [person[key] for person in expected["annotations"]]


def test_mistakes_are_one_sentence_and_exit_code_2(file, tmp_path, capsys):
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").touch()
    mistakes = [
        ((file, full, "--to", "yolo"), f"{full} exists already and is not overwritten: name another file or folder."),
        ((file, tmp_path / "x"), f"{file} shows no other format than COCO, the target's: name the right one with"),
        ((file, tmp_path / "x", "--from", "coco"), "Either the source or the target must be COCO: convert twice to"),
        ((file, tmp_path / "x", "--from", "yolo", "--to", "cvat"), "Either the source or the target must be COCO"),
        ((full, tmp_path / "x", "--from", "yolo"), f"The file {full / 'data.yaml'} does not exist."),
        ((file, tmp_path / "x", "--to", "cvat", "--keypoints", "a"), "--keypoints does not apply to this conversion"),
        ((tmp_path / "none", tmp_path / "x", "--from", "cvat"), f"The file {tmp_path / 'none'} does not exist."),
    ]
    for arguments, sentence in mistakes:
        code, out, err = run_in_process(capsys, "dataset", "convert", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: {sentence}")
        assert err.count("\n") == 1


def test_bones_are_added_on_the_way_to_coco(file, tmp_path, capsys):
    labelme, back = tmp_path / "labelme", tmp_path / "back.json"
    run_in_process(capsys, "dataset", "convert", file, labelme, "--to", "labelme")
    options = (back, "--from", "labelme", "--keypoints", *NAMES, "--skeleton")
    code, _, err = run_in_process(capsys, "dataset", "convert", labelme, *options, "head,tail")
    assert code == 2
    assert err.startswith("error: --skeleton head,tail: two of head, left_hand, right_hand, left_foot, right_foot are")
    code, _, _ = run_in_process(capsys, "dataset", "convert", labelme, *options, "head,left_hand", "right_foot,head")
    assert code == 0
    assert [category["skeleton"] for category in read_coco(back)["categories"]] == [[[1, 2], [5, 1]]] * 2
