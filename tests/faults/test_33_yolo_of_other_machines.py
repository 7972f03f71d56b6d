"""YOLO folders of another machine or another writer: no label is lost or taken for another."""

import pytest
from PIL import Image

from rtmo_plugin.errors import DataError
from rtmo_plugin.labels.conversion import convert_to_coco

ROW = "0 .5 .5 .4 .6 .4 .4 2 .6 .6 1"
YAML = "kpt_shape: [2, 3]\ntrain: train.txt\nnames: {0: person}\n"


def make_folder(root, data=YAML, rows=ROW, names=("a", "b", "c")):
    for folder in ("images/train", "labels/train"):
        (root / folder).mkdir(parents=True)
    for name in names:
        Image.new("RGB", (40, 30)).save(root / f"images/train/{name}.png")
        (root / f"labels/train/{name}.txt").write_text(rows + "\n")
    (root / "data.yaml").write_text(data)
    return root


def list_names(coco):
    return [image["file_name"] for image in coco["images"]]


@pytest.mark.parametrize(
    "lines",
    [
        "images\\train\\a.png\r\nimages\\train\\b.png\r\n",
        "C:\\data\\people\\images\\train\\a.png\nC:\\data\\people\\images\\train\\b.png\n",
        "/home/other/people/images/train/a.png\n/home/other/people/images/train/b.png\n",
        ".\\images\\train\\a.png\n./images/train/b.png\n",
    ],
)
def test_lists_of_another_machine(tmp_path, lines):
    folder = make_folder(tmp_path)
    (folder / "train.txt").write_text(lines, newline="")
    coco, _ = convert_to_coco(folder, "yolo")
    assert (list_names(coco), len(coco["annotations"])) == (["a.png", "b.png"], 2)


def test_listed_images_that_are_not_there_are_reported(tmp_path):
    folder = make_folder(tmp_path)
    (folder / "train.txt").write_text("images/train/a.png\nimages/train/gone.png\n")
    coco, notes = convert_to_coco(folder, "yolo")
    assert list_names(coco) == ["a.png"]
    assert any("not there: 1, such as gone." in note for note in notes)


def test_class_numbers_with_decimals(tmp_path):
    yaml = YAML.replace("train.txt", "images/train")
    coco, _ = convert_to_coco(make_folder(tmp_path / "x", yaml, ROW.replace("0 ", "0.000000 ", 1)), "yolo")
    assert {person["category_id"] for person in coco["annotations"]} == {1}
    with pytest.raises(DataError, match=r"a\.txt, line 1: a class number"):
        convert_to_coco(make_folder(tmp_path / "y", yaml, ROW.replace("0 ", "0.5 ", 1)), "yolo")


@pytest.mark.parametrize(
    ("flips", "first"),
    [
        (list(range(17)), "keypoint_0"),  # a fish, of which nothing changes places
        ([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15], "nose"),
        (None, "nose"),
    ],
)
def test_17_keypoints_are_not_always_those_of_coco(tmp_path, flips, first):
    yaml = "kpt_shape: [17, 3]\ntrain: images/train\nnames: [x]\n" + (f"flip_idx: {flips}\n" if flips else "")
    coco, notes = convert_to_coco(make_folder(tmp_path, yaml, "0 .5 .5 .4 .6" + " .5 .5 2" * 17), "yolo")
    assert coco["categories"][0]["keypoints"][0] == first
    assert any("does not name the 17 keypoints" in note for note in notes)


def test_keypoint_names_by_their_numbers(tmp_path):
    yaml = YAML.replace("train.txt", "images/train") + "kpt_names: {0: head, 1: tail}\n"
    coco, notes = convert_to_coco(make_folder(tmp_path / "y", yaml), "yolo")
    assert (coco["categories"][0]["keypoints"], notes) == (["head", "tail"], [])
