"""LabelMe files of older versions and of other programs, and JSON files that are not LabelMe files."""

import base64
import io
import json

import pytest
from PIL import Image

from rtmo_plugin.errors import DataError
from rtmo_plugin.labels.conversion import convert_to_coco


def make_document(**changes):
    shapes = [
        {"label": "person", "points": [[10, 10], [60, 80]], "group_id": 1, "shape_type": "rectangle", "flags": {}},
        {"label": "nose", "points": [[30, 20]], "group_id": 1, "shape_type": "point", "flags": {}},
    ]
    document = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "a.jpg", "imageData": None}
    return {**document, "imageHeight": 100, "imageWidth": 120, **changes}


def write(folder, document, name="a.json"):
    (folder / name).write_text(json.dumps(document))
    return folder


def make_jpeg():
    file = io.BytesIO()
    Image.new("RGB", (120, 100)).save(file, "JPEG")
    return file.getvalue()


def read(folder):
    coco, notes = convert_to_coco(folder, "labelme")
    (image,), (person,) = coco["images"], coco["annotations"]
    assert (image["width"], image["height"]) == (120, 100)
    assert (person["bbox"], person["keypoints"]) == ([10, 10, 50, 70], [30, 20, 2])
    return notes


@pytest.mark.parametrize("size", [{}, {"imageWidth": None, "imageHeight": None}])
@pytest.mark.parametrize("is_within", [True, False])
def test_a_missing_size_is_that_of_the_image(tmp_path, size, is_within):
    document = make_document()
    del document["imageWidth"], document["imageHeight"]
    document.update(size)
    if is_within:
        document["imageData"] = base64.b64encode(make_jpeg()).decode()
    else:
        (tmp_path / "a.jpg").write_bytes(make_jpeg())
    assert read(write(tmp_path, document)) == []


@pytest.mark.parametrize("data", [None, "no base64!", 7])
def test_a_size_that_nothing_tells(tmp_path, data):
    document = make_document(imageWidth=None, imageData=data)
    with pytest.raises(DataError, match=r"a\.json is not a whole LabelMe file: .*without a size, the image beside"):
        convert_to_coco(write(tmp_path, document), "labelme")


def test_numbers_with_decimals(tmp_path):
    document = make_document(imageWidth=120.0, imageHeight=100.0)
    for shape in document["shapes"]:
        shape["group_id"] = 1.0
    assert read(write(tmp_path, document)) == []


def test_points_without_a_type(tmp_path):
    document = make_document()
    del document["shapes"][1]["shape_type"]
    assert read(write(tmp_path, document)) == []


def test_a_point_of_two_places(tmp_path):
    document = make_document()
    document["shapes"][1]["points"] *= 2
    with pytest.raises(DataError, match=r"shapes\[1\] \('nose'\) is a point with 2 places"):
        convert_to_coco(write(tmp_path, document), "labelme")


@pytest.mark.parametrize("text", ['{// a comment\n"a": 1,}', '{"shapes": "round"}', '{"imageWidth": 3}', "[1, 2]"])
def test_other_json_files_are_named_and_passed_over(tmp_path, text):
    (tmp_path / "b.json").write_text(text)
    assert read(write(tmp_path, make_document())) == ["Not LabelMe files, and not read: b.json."]


@pytest.mark.parametrize("text", ["", '{"version": "5.0', '{"flags": {}, "shapes": [{'])
def test_damaged_labelme_files_are_not_passed_over(tmp_path, text):
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(DataError, match=r"b\.json is not valid JSON"):
        convert_to_coco(write(tmp_path, make_document()), "labelme")
