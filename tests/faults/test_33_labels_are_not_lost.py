"""No label goes missing with exit code 0: it is there, or a sentence says what is not, or the conversion is refused."""

import json

import cv2
import numpy as np
import pytest
import yaml

from rtmo_plugin.labels import read_coco
from rtmo_plugin.labels.conversion import convert_to_coco
from rtmo_plugin.labels.label_set import ReadOptions
from tests.faults.cvat_files import declare, export, image, skeleton
from tests.labels.conftest import make_set
from tests.tools.test_tools import run_in_process

BALL = declare("ball", ["center", "rim"])
PERSON = skeleton("ball", [("center", 10, 20), ("rim", 40, 60)])
FORMATS = ["yolo", "labelme", "cvat"]


def convert(capsys, *arguments):
    return run_in_process(capsys, "dataset", "convert", *arguments)


def convert_coco(tmp_path, capsys, coco, name):
    source = tmp_path / "people.json"
    source.write_text(json.dumps(coco))
    return convert(capsys, source, tmp_path / f"as_{name}", "--to", name)


def test_two_images_of_one_name_in_cvat_are_refused(tmp_path, capsys):
    """As in the export of a project, whose tasks may each have an image of that name."""
    (tmp_path / "a.xml").write_text(export(BALL, image("a.jpg", PERSON), image("a.jpg", number=1)))
    code, out, err = convert(capsys, tmp_path / "a.xml", tmp_path / "a.json", "--from", "cvat")
    assert (code, out) == (2, "")
    assert "two images are called 'a.jpg': export their tasks one by one" in err
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "stem", ["x_side", "coco_side", "x.coco_side", "classes", "labels", "data", "train", "v1.0/a", "a b/ä"]
)
def test_images_of_any_name_keep_their_people(tmp_path, capsys, name, stem):
    coco = make_set()
    coco["images"][0]["file_name"] = f"{stem}.jpg"
    code, _, err = convert_coco(tmp_path, capsys, coco, name)
    assert (code, err) == (0, "")
    sizes = {entry["file_name"]: (entry["width"], entry["height"]) for entry in coco["images"]}
    options = ReadOptions(keypoints=coco["categories"][0]["keypoints"], sizes=sizes)
    back, _ = convert_to_coco(tmp_path / f"as_{name}", name, options)
    people = {entry["file_name"]: [] for entry in back["images"]}
    names = {entry["id"]: entry["file_name"] for entry in back["images"]}
    for person in back["annotations"]:
        people[names[person["image_id"]]].append(person["bbox"])
    assert people == {f"{stem}.jpg": [[18, 8, 24, 38]] * 2, "2.jpg": [[18, 8, 24, 38]], "3.jpg": []}


@pytest.mark.parametrize("name", FORMATS)
def test_keys_of_the_users_own_are_named(tmp_path, capsys, name):
    coco = make_set()
    for section in ("annotations", "images", "categories"):
        coco[section][0].update(at=5, category="mine", patch={"x": 1})
    code, out, _ = convert_coco(tmp_path, capsys, coco, name)
    assert code == 0
    for section in ("annotations", "images", "categories"):
        (part,) = [part for part in out.split(";") if f" of {section}" in part]
        assert {"at", "category", "patch"} <= set(part.replace(",", "").split())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("character", ["\x00", "\x01", "\x0b", "\x1b", "\x7f", "\ufffe", "\n", "\t", "\x85", "\xa0"])
@pytest.mark.parametrize("place", ["file_name", "name", "keypoints"])
def test_odd_characters_come_back_or_are_refused(tmp_path, capsys, name, character, place):
    coco = make_set()
    word = f"a{character}b"
    if place == "file_name":
        coco["images"][0]["file_name"] = f"{word}.jpg"
    elif place == "name":
        coco["categories"][0]["name"] = word
    else:
        for category in coco["categories"]:
            category["keypoints"][0] = word
    code, out, err = convert_coco(tmp_path, capsys, coco, name)
    if code == 2:
        assert (out, err.count("\n"), (tmp_path / f"as_{name}").exists()) == ("", 1, False)
        return
    assert (code, err) == (0, "")
    sizes = {entry["file_name"]: (entry["width"], entry["height"]) for entry in coco["images"]}
    keypoints = {entry["name"]: entry["keypoints"] for entry in coco["categories"]}
    back, _ = convert_to_coco(tmp_path / f"as_{name}", name, ReadOptions(keypoints=keypoints, sizes=sizes))
    assert {entry["file_name"] for entry in back["images"]} == sizes.keys()
    assert {entry["name"]: entry["keypoints"] for entry in back["categories"]} == keypoints
    assert len(back["annotations"]) == 3


def make_yolo(folder, names=("walker",), suffixes=(".png",), labels=True):
    (folder / "images/train").mkdir(parents=True)
    (folder / "labels/train").mkdir(parents=True)
    for suffix in suffixes:
        assert cv2.imwrite(str(folder / f"images/train/1{suffix}"), np.zeros((48, 64, 3), np.uint8))
    if labels:
        (folder / "labels/train/1.txt").write_text(f"{len(names) - 1} .5 .5 .25 .5 .5 .5 2\n")
    data = {"train": "images/train", "names": list(names), "kpt_shape": [1, 3], "kpt_names": ["head"]}
    (folder / "data.yaml").write_text(yaml.safe_dump(data))
    return folder


def test_two_images_of_one_yolo_label_are_refused(tmp_path, capsys):
    source = make_yolo(tmp_path / "yolo", suffixes=(".png", ".jpg"))
    code, _, err = convert(capsys, source, tmp_path / "a.json", "--from", "yolo")
    assert (code, "two are alike: 1.jpg and 1.png" in err) == (2, True)


def test_an_image_that_cannot_be_read_is_named(tmp_path, capsys):
    source = make_yolo(tmp_path / "yolo")
    (source / "images/train/2.jpg").write_bytes(b"cut off")
    code, _, err = convert(capsys, source, tmp_path / "a.json", "--from", "yolo")
    assert (code, "2.jpg is not an image" in err) == (2, True)


def test_classes_keep_their_number_and_name(tmp_path, capsys):
    source = make_yolo(tmp_path / "twice", names=("dog", "cat", "dog"))
    code, _, err = convert(capsys, source, tmp_path / "a.json", "--from", "yolo")
    assert (code, "must be different names of classes" in err) == (2, True)
    source = make_yolo(tmp_path / "words", names=("on", "no", "null", "1.0"))
    (source / "data.yaml").write_text((source / "data.yaml").read_text().replace("'", ""))  # as people write it
    code, _, _ = convert(capsys, source, tmp_path / "a.json", "--from", "yolo")
    coco = read_coco(tmp_path / "a.json")
    assert [entry["name"] for entry in coco["categories"]] == ["on", "no", "null", "1.0"]
    assert (code, coco["annotations"][0]["category_id"]) == (0, 4)


def test_assumed_names_are_reported(tmp_path, capsys):
    source = make_yolo(tmp_path / "yolo")
    text = (source / "data.yaml").read_text().replace("kpt_names:\n- head\n", "")
    (source / "data.yaml").write_text(text)
    code, out, _ = convert(capsys, source, tmp_path / "a.json", "--from", "yolo")
    assert (code, "does not name the 1 keypoints: they are numbered; --keypoints names them" in out) == (0, True)
