"""Labels that were made elsewhere: YOLO, LabelMe and CVAT to COCO."""

import pytest
import yaml

from rtmo_plugin.files import write_json
from rtmo_plugin.labels import check_coco
from rtmo_plugin.labels.conversion import convert_to_coco
from rtmo_plugin.labels.label_set import ReadOptions


def to_coco(source, name, **options):
    """Return labels as a COCO file without findings, but that numbers do not tell left from right."""
    coco, _ = convert_to_coco(source, name, ReadOptions(**options))
    assert set(check_coco(coco)) <= {"category-sides"}
    return coco


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


def test_yolo_in_pixels(tmp_path, pictures):
    source = make_yolo(tmp_path / "yolo", {"2": ["1 .5 .5 .25 .5 .5 .25 1" + " 0 0 0" * 4]})
    coco = to_coco(source, "yolo", images=pictures)
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
        ({"1": ["2" + " .5" * 4 + " .5 .5 2" * 5]}, {}, r"1\.txt, line 1 names a class that data\.yaml does not"),
        ({"1": ["0 320 240 64 64" + " .5 .5 2" * 5]}, {}, r"1\.txt: boxes are in pixels"),
        ({}, {"names": ["a", "a"]}, r"different names of classes: one is there twice"),
        ({"9": []}, {}, r"size of the image of 9\.txt is not known, as the image is missing in .*--images"),
        ({}, {"kpt_shape": [5]}, r"needs `names`, and `kpt_shape: \[K, 3\]`"),
        ({}, {"names": {1: "a"}}, r"must number the classes from 0"),
        ({}, {"kpt_names": {0: ["a"]}}, r"kpt_shape in data\.yaml is for 5 keypoints, but 1 are named"),
    ],
)
def test_bad_yolo_is_one_sentence(tmp_path, pictures, rows, data, words):
    with pytest.raises(ValueError, match=words):
        to_coco(make_yolo(tmp_path / "yolo", rows, **data), "yolo", images=pictures)


def test_missing_or_broken_yaml(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"The file .*data\.yaml does not exist"):
        convert_to_coco(tmp_path, "yolo")
    (tmp_path / "data.yaml").write_text("names: [a\nb: ]: c")
    with pytest.raises(ValueError, match=r"data\.yaml is not YAML at line 2"):
        convert_to_coco(tmp_path, "yolo")


GROUPS = [
    make_shape("tree", [[1, 2], [3, 4], [5, 6]], kind="polygon", mask=None),
    make_shape("tail", [[50.5, 20]], 9, description="short"),
    make_shape("walker", [[60, 40], [10, 5.25]], 9, "rectangle"),
    make_shape("head", [[30, 10.125]], 9, flags={"occluded": True, "blurred": False}),
    make_shape("dancer", [[1, 1], [5, 5]], 4, "rectangle"),
]


def test_labelme_people(tmp_path):
    source = make_labelme(tmp_path / "labelme", GROUPS, "x.png")
    coco = to_coco(source, "labelme", keypoints=["head", "tail"])
    first, second = coco["annotations"]
    assert first["bbox"] == [10, 5.25, 50, 34.75]
    assert first["keypoints"] == [30, 10.125, 1, 50.5, 20, 2]
    assert (first["num_keypoints"], second["num_keypoints"]) == (2, 0)
    assert [category["name"] for category in coco["categories"]] == ["walker", "dancer"]
    assert coco["images"] == [{"id": 1, "width": 64, "height": 48, "file_name": "x.png"}]
    assert to_coco(source, "labelme")["categories"][0]["keypoints"] == ["tail", "head"]  # as they come


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (
            [make_shape("a", [[1, 2]]), make_shape("a", [[3, 4]])],
            r"1\.json: group_id None has point 'a' more than once",
        ),
        ([make_shape("a", [[1, 2], [3, 4]], 2, "rectangle")] * 2, r"group_id 2 has rectangle 'a' more than once"),
        ([make_shape("a", [["x", 1]])], r"1\.json: shapes\[0\] \('a'\) needs points of two"),
        ([make_shape("tail", [[1, 2]])], r"1\.json: the point 'tail' is not one of the keypoints of 'person'"),
    ],
)
def test_bad_labelme_is_one_sentence(tmp_path, shapes, words):
    with pytest.raises(ValueError, match=words):
        to_coco(make_labelme(tmp_path, shapes), "labelme", keypoints=["a", "b"])


def test_other_json_is_no_labelme(tmp_path):
    with pytest.raises(FileNotFoundError, match="No LabelMe file"):
        convert_to_coco(tmp_path, "labelme")
    make_labelme(tmp_path, []).joinpath("1.json").rename(tmp_path / "2.json")
    with pytest.raises(ValueError, match=r"2\.json is of the image 1\.jpg: give both the same name"):
        convert_to_coco(tmp_path, "labelme")
    write_json(tmp_path / "2.json", {"shapes": []})
    with pytest.raises(ValueError, match=r"2\.json is not a whole LabelMe file"):
        convert_to_coco(tmp_path, "labelme")


def test_cvat_people(tmp_path):
    source = tmp_path / "labels.xml"
    source.write_text(CVAT)
    coco, notes = convert_to_coco(source, "cvat")
    first, second = coco["annotations"]
    assert first["keypoints"] == [30.25, 40, 2, 10.5, 20, 1]
    assert first["bbox"] == [10.5, 20, 19.75, 20]
    assert (second["bbox"], second["num_keypoints"]) == ([1, 2, 10, 20.5], 0)
    assert [image["file_name"] for image in coco["images"]] == ["a/1.jpg", "2.jpg"]
    assert notes == ["Left out, as COCO keypoints cannot hold them: 1 attribute, 1 polygon."]
    assert check_coco(coco) == {}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</image>", "", r"is not valid XML: mismatched tag: line \d+, column \d+"),
        ("<annotations>", "<!DOCTYPE x []><annotations>", "has a document type"),
        ("annotations>", "labels>", "it has no <annotations> with <image>s"),
        ('width="64" ', "", r"labels\.xml, image 'a/1\.jpg': no attribute 'width'"),
        ('label="tail"', 'label="wing"', "'wing' is not a keypoint of 'walker'"),
        ('points="10.50,20.00"', 'points="10.50"', r"labels\.xml, image 'a/1\.jpg':"),
        ('points="10.50,20.00"', 'points="nan,1"', r"labels\.xml, image 'a/1\.jpg':"),
    ],
)
def test_bad_cvat_is_one_sentence(tmp_path, old, new, words):
    (tmp_path / "labels.xml").write_text(CVAT.replace(old, new))
    with pytest.raises(ValueError, match=words):
        convert_to_coco(tmp_path / "labels.xml", "cvat")
