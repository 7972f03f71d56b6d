"""People whose keypoints span no area get a box with a margin, in every conversion; who is left out is counted."""

import json

import pytest

from rtmo_plugin.labels import check_coco, read_coco
from tests.faults.cvat_files import declare, export, image, skeleton
from tests.tools.test_tools import run_in_process

BALL = declare("ball", ["center", "rim"])


def convert(capsys, *arguments):
    code, out, err = run_in_process(capsys, "dataset", "convert", *arguments)
    assert err == ""
    return code, out


def test_cvat(tmp_path, capsys):
    one = skeleton("ball", [("center", 100, 120)])
    line = skeleton("ball", [("center", 100, 120), ("rim", 100, 420)])
    nothing = skeleton("ball", [("center", 0, 0, 0, 1), ("rim", 0, 0, 0, 1)])
    (tmp_path / "a.xml").write_text(export(BALL, image("a.jpg", one, line, nothing)))
    code, out = convert(capsys, tmp_path / "a.xml", tmp_path / "a.json", "--from", "cvat")
    assert code == 0
    assert "Boxes without area, drawn around the keypoints with a margin: 2." in out
    assert "People left out, without a box and without a labeled keypoint: 1." in out
    coco = read_coco(tmp_path / "a.json")
    assert [person["bbox"] for person in coco["annotations"]] == [[84, 104, 32, 32], [70, 90, 60, 360]]
    assert check_coco(coco) == {}


def test_labelme(tmp_path, capsys):
    shape = {"label": "center", "points": [[630, 5]], "group_id": None, "shape_type": "point", "flags": {}}
    document = {"shapes": [shape], "imagePath": "a.jpg", "imageWidth": 640, "imageHeight": 480}
    (tmp_path / "labelme").mkdir()
    (tmp_path / "labelme/a.json").write_text(json.dumps(document))
    code, out = convert(capsys, tmp_path / "labelme", tmp_path / "a.json", "--from", "labelme")
    assert (code, "with a margin: 1." in out) == (0, True)
    assert read_coco(tmp_path / "a.json")["annotations"][0]["bbox"] == [614, 0, 26, 21]  # inside the image


@pytest.mark.parametrize("box", [[100, 120, 0, 0], [100, 120, 0, 50]])
def test_coco_to_yolo(tmp_path, capsys, box):
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 0}
    person.update(keypoints=[100, 120, 2], num_keypoints=1)
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}],
        "annotations": [person, {**person, "id": 2, "keypoints": [0, 0, 0], "num_keypoints": 0}],
        "categories": [{"id": 1, "name": "ball", "keypoints": ["center"]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(coco))
    code, out = convert(capsys, tmp_path / "a.json", tmp_path / "yolo", "--to", "yolo")
    assert (code, "with a margin: 1." in out, "labeled keypoint: 1." in out) == (0, True, True)
    (row,) = (tmp_path / "yolo/labels/train/a.txt").read_text().splitlines()
    assert [float(word) for word in row.split()[1:5]] == pytest.approx([100 / 640, 120 / 480, 32 / 640, 32 / 480])


def test_a_conversion_without_people_fails(tmp_path, capsys):
    (tmp_path / "a.xml").write_text(export(BALL, image("a.jpg", skeleton("ball", [("center", 0, 0, 0, 1)]))))
    code, out = convert(capsys, tmp_path / "a.xml", tmp_path / "a.json", "--from", "cvat")
    assert code == 1
    assert "It has no people." in out
