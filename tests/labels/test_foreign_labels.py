"""Labels that were made elsewhere: YOLO, LabelMe and CVAT to COCO and back, with what COCO cannot hold."""

import json

import pytest
import yaml

from rtmo_plugin.files import write_json
from rtmo_plugin.labels import check_coco
from rtmo_plugin.labels.conversion import convert_from_coco, convert_to_coco
from rtmo_plugin.labels.cvat import read_cvat
from rtmo_plugin.labels.labelme import read_labelme
from rtmo_plugin.labels.yolo_files import read_yolo
from tests.labels.conftest import NAMES


def make_yolo(folder, rows, **data):
    labels = folder / "labels/train"
    labels.mkdir(parents=True)
    for stem, lines in rows.items():
        (labels / f"{stem}.txt").write_text("\n".join(lines))
    data = {"train": "images/train", "names": {0: "walker", 1: "dancer"}, "kpt_shape": [5, 3], **data}
    (folder / "data.yaml").write_text(yaml.safe_dump(data))
    return folder


def make_shape(label, points, group=None, kind="point", **fields):
    return {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": {}, **fields}


def make_labelme(folder, shapes, name="1.jpg"):
    document = {
        "version": "4.5.6", "flags": {"night": True}, "shapes": shapes, "imagePath": f"..\\pictures\\{name}",
        "imageData": "aGVsbG8=", "imageHeight": 48, "imageWidth": 64, "camera": 3,
    }  # fmt: skip
    write_json(folder / f"{name[:-4]}.json", document)
    return folder


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><job><id>7</id><labels><label><name>walker</name><color>#fff</color><type>skeleton</type><sublabels>
    <label><name>head</name></label><label><name>tail</name></label></sublabels></label></labels></job></meta>
  <image id="4" name="a/1.jpg" width="64" height="48" subset="train">
    <polygon label="tree" points="1.0,2.0;3.5,4.0;5,6" z_order="0"/>
    <skeleton label="walker" source="manual" z_order="2">
      <points label="tail" source="manual" outside="0" occluded="1" points="10.50,20.00"><attribute name="x">é</attribute></points>
      <points label="head" source="manual" outside="0" occluded="0" points="30.25,40.00"/>
    </skeleton>
    <box label="walker" xtl="1.00" ytl="2.00" xbr="11.00" ybr="22.50" occluded="0"/>
  </image>
  <image id="9" name="2.jpg" width="10" height="20"/>
</annotations>
"""  # noqa: E501


YOLO_CASES = {
    "three numbers a point": ({"1": ["0 .5 .5 .25 .5" + " .5 .123456 2" * 5, "1 0.1 0.2 0.1 0.1" + " 0 0 0" * 5]}, {}),
    "two numbers a point": ({"1": ["0 .5 .5 .25 .5" + " .5 .25" * 4 + " 0 0"]}, {"kpt_shape": [5, 2]}),
    "many digits": ({"1": ["0 0.12345678901234567 .5 .25 .5" + " .3333333333333333 .1 2" * 5]}, {}),
    "images without labels": ({}, {"names": ["walker"], "flip_idx": [0, 2, 1, 4, 3], "download": "nowhere", "nc": 1}),
    "empty file": ({"2": []}, {"kpt_names": {0: NAMES, 1: NAMES}}),
}


@pytest.mark.parametrize("kind", YOLO_CASES)
def test_yolo_there_and_back(tmp_path, pictures, kind):
    rows, data = YOLO_CASES[kind]
    source = make_yolo(tmp_path / "yolo", rows, **data)
    coco = json.loads(json.dumps(convert_to_coco(source, "yolo", images=pictures, keypoints=NAMES)))
    assert check_coco(coco) == {}
    convert_from_coco(coco, tmp_path / "back", "yolo")
    assert read_yolo(tmp_path / "back", "train") == read_yolo(source, "train")
    assert convert_to_coco(tmp_path / "back", "yolo") == coco


def test_yolo_in_pixels(tmp_path, pictures):
    source = make_yolo(tmp_path / "yolo", {"2": ["1 .5 .5 .25 .5 .5 .25 1" + " 0 0 0" * 4]})
    coco = convert_to_coco(source, "yolo", images=pictures)
    (person,) = coco["annotations"]
    assert person["bbox"] == [18, 16, 12, 32]  # of 48 x 64
    assert person["keypoints"][:3] == [24, 16, 1]
    assert [image["file_name"] for image in coco["images"]] == ["1.jpg", "2.jpg", "3.jpg"]
    assert coco["categories"][1]["name"] == "dancer"
    assert coco["categories"][1]["keypoints"] == [f"keypoint_{i}" for i in range(5)]


@pytest.mark.parametrize(
    ("rows", "data", "words"),
    [
        ({"1": ["0 .5 .5 .5"]}, {}, r"1\.txt, line 1: 4 numbers, but kpt_shape in data\.yaml makes 20\."),
        ({"1": ["", "x" + " .5" * 19]}, {}, r"1\.txt, line 2: a class number and decimal numbers are needed, not x"),
        ({"1": ["0 nan" + " .5" * 18]}, {}, r"1\.txt, line 1: a class number and decimal"),
        ({"1": ["2" + " .5" * 4 + " .5 .5 2" * 5]}, {}, r"1\.txt names a class that data\.yaml has not: it has 0 to 1"),
        ({"9": []}, {}, r"size of the image of 9\.txt is not known: name the images with --images"),
        ({}, {"kpt_shape": [5]}, r"needs `names`, and `kpt_shape: \[K, 3\]`"),
        ({}, {"names": {1: "a"}}, r"must number the classes from 0"),
        ({}, {"kpt_names": {0: ["a"]}}, r"kpt_shape in data\.yaml is for 5 keypoints, but 1 are named"),
    ],
)
def test_bad_yolo_is_one_sentence(tmp_path, pictures, rows, data, words):
    with pytest.raises(ValueError, match=words):
        convert_to_coco(make_yolo(tmp_path / "yolo", rows, **data), "yolo", images=pictures)


def test_missing_or_broken_yaml(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*data\.yaml"):
        convert_to_coco(tmp_path, "yolo")
    (tmp_path / "data.yaml").write_text("names: [a\nb: ]: c")
    with pytest.raises(ValueError, match=r"data\.yaml is not YAML at line 2"):
        convert_to_coco(tmp_path, "yolo")


LABELME_CASES = {
    "groups": [
        make_shape("tree", [[1, 2], [3, 4], [5, 6]], kind="polygon", mask=None),
        make_shape("tail", [[50.5, 20]], 9, description="short"),
        make_shape("walker", [[60, 40], [10, 5.25]], 9, "rectangle"),
        make_shape("head", [[30, 10.125]], 9, flags={"occluded": True, "blurred": False}),
        make_shape("dancer", [[1, 1], [5, 5]], 4, "rectangle"),
    ],
    "no rectangle, no group": [make_shape("head", [[3, 4]]), make_shape("tail", [[13, 14]])],
    "two groups without rectangle": [
        make_shape("a", [[3, 4]], 0),
        make_shape("b", [[9, 9]], 0),
        make_shape("a", [[1, 2]], 1),
    ],
    "nothing": [],
}


@pytest.mark.parametrize("kind", LABELME_CASES)
def test_labelme_there_and_back(tmp_path, kind):
    source = make_labelme(tmp_path / "labelme", LABELME_CASES[kind])
    coco = json.loads(json.dumps(convert_to_coco(source, "labelme", keypoints=None if kind != "nothing" else NAMES)))
    convert_from_coco(coco, tmp_path / "back", "labelme")
    assert read_labelme(tmp_path / "back") == read_labelme(source)
    assert convert_to_coco(tmp_path / "back", "labelme") == coco


def test_labelme_people(tmp_path):
    source = make_labelme(tmp_path / "labelme", LABELME_CASES["groups"], "x.png")
    coco = convert_to_coco(source, "labelme", keypoints=["head", "tail"])
    first, second = coco["annotations"]
    assert first["bbox"] == [10, 5.25, 50, 34.75]
    assert first["keypoints"] == [30, 10.125, 1, 50.5, 20, 2]
    assert (first["num_keypoints"], second["num_keypoints"]) == (2, 0)
    assert [category["name"] for category in coco["categories"]] == ["walker", "dancer"]
    assert coco["images"] == [{"id": 1, "width": 64, "height": 48, "file_name": "x.png"}]
    assert convert_to_coco(source, "labelme")["categories"][0]["keypoints"] == ["tail", "head"]  # as they come


def test_labelme_edited_as_coco_keeps_its_other_shapes(tmp_path):
    source = make_labelme(tmp_path / "labelme", LABELME_CASES["groups"])
    coco = convert_to_coco(source, "labelme")
    coco["annotations"][0]["keypoints"][0] = 7
    convert_from_coco(coco, tmp_path / "back", "labelme")
    shapes = LABELME_CASES["groups"]
    moved = {**shapes[1], "points": [[7, 20]], "description": "short"}
    assert read_labelme(tmp_path / "back")["1"]["shapes"] == [shapes[0], moved, *shapes[2:]]


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (
            [make_shape("a", [[1, 2]]), make_shape("a", [[3, 4]])],
            r"1\.json: group_id None has point 'a' more than once",
        ),
        ([make_shape("a", [[1, 2], [3, 4]], 2, "rectangle")] * 2, r"group_id 2 has rectangle 'a' more than once"),
        ([{"label": "a", "shape_type": "point", "points": [["x", 1]]}], r"1\.json: shapes\[0\] needs a label"),
        ([make_shape("tail", [[1, 2]])], r"1\.json: 'tail' is neither a category nor one of its keypoints"),
    ],
)
def test_bad_labelme_is_one_sentence(tmp_path, shapes, words):
    with pytest.raises(ValueError, match=words):
        convert_to_coco(make_labelme(tmp_path, shapes), "labelme", keypoints=["a", "b"])


def test_other_json_is_no_labelme(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no LabelMe file"):
        convert_to_coco(tmp_path, "labelme")
    make_labelme(tmp_path, []).joinpath("1.json").rename(tmp_path / "2.json")
    with pytest.raises(ValueError, match=r"2\.json is of the image 1\.jpg: give both the same name"):
        convert_to_coco(tmp_path, "labelme")
    write_json(tmp_path / "2.json", {"shapes": []})
    with pytest.raises(ValueError, match=r"2\.json is no LabelMe file"):
        convert_to_coco(tmp_path, "labelme")


def test_cvat_there_and_back(tmp_path):
    source = tmp_path / "labels.xml"
    source.write_text(CVAT)
    coco = json.loads(json.dumps(convert_to_coco(source, "cvat")))
    first, second = coco["annotations"]
    assert first["keypoints"] == [30.25, 40, 2, 10.5, 20, 1]
    assert first["bbox"] == [10.5, 20, 19.75, 20]
    assert (second["bbox"], second["num_keypoints"]) == ([1, 2, 10, 20.5], 0)
    assert [image["file_name"] for image in coco["images"]] == ["a/1.jpg", "2.jpg"]
    assert check_coco(coco) == {}
    convert_from_coco(coco, tmp_path / "back.xml", "cvat")
    assert read_cvat(tmp_path / "back.xml") == read_cvat(source)
    assert convert_to_coco(tmp_path / "back.xml", "cvat") == coco


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</image>", "", r"is not whole XML: mismatched tag: line \d+, column \d+"),
        ("<annotations>", "<!DOCTYPE x []><annotations>", "has a document type"),
        ("annotations>", "labels>", "it has no <annotations> with <image>s"),
        ('width="64" ', "", r"Image 'a/1\.jpg' of the CVAT file has a missing or wrong attribute: 'width'"),
        ('label="tail"', 'label="wing"', "'wing' is no keypoint of 'walker'"),
        ('points="10.50,20.00"', 'points="10.50"', "Image 'a/1.jpg' of the CVAT file"),
        ('points="10.50,20.00"', 'points="nan,1"', "Image 'a/1.jpg' of the CVAT file"),
    ],
)
def test_bad_cvat_is_one_sentence(tmp_path, old, new, words):
    (tmp_path / "labels.xml").write_text(CVAT.replace(old, new))
    with pytest.raises(ValueError, match=words):
        convert_to_coco(tmp_path / "labels.xml", "cvat")
