"""LabelMe folders as people have them: other JSON files beside the labels, and names typed by hand."""

import json

import pytest

from rtmo_plugin.labels import read_coco
from tests.labels.conftest import make_set
from tests.tools.test_tools import run_in_process


def make_point(label, x, **fields):
    return {"label": label, "points": [[x, 5]], "group_id": None, "shape_type": "point", "flags": {}, **fields}


def make_folder(folder, **shapes_by_stem):
    folder.mkdir(exist_ok=True)
    for stem, shapes in shapes_by_stem.items():
        document = {"shapes": shapes, "imagePath": f"{stem}.jpg", "imageWidth": 64, "imageHeight": 48}
        (folder / f"{stem}.json").write_text(json.dumps(document))
    return folder


def convert(capsys, folder, *arguments):
    out = folder.parent / "out.json"
    code, said, err = run_in_process(capsys, "dataset", "convert", folder, out, "--from", "labelme", *arguments)
    return code, said, err, read_coco(out) if out.exists() else None


@pytest.mark.parametrize("content", [[], {}, {"settings": 1}, make_set(), 3, None, "text"])
def test_a_stray_json_is_passed_over_and_reported(tmp_path, capsys, content):
    folder = make_folder(tmp_path / "labelme", a=[make_point("head", 1), make_point("tail", 9)])
    (folder / "other.json").write_text(json.dumps(content))
    (folder / "._a.json").write_bytes(b"\x00\x05\x16\x07")  # macOS leaves these
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints/a.json").write_text((folder / "a.json").read_text())
    code, said, err, coco = convert(capsys, folder)
    assert (code, err, len(coco["images"])) == (0, "", 1)
    assert "Not LabelMe files, and not read: other.json." in said


@pytest.mark.parametrize("content", ["", "{", '{"shapes": []}', '{"shapes": 3, "imagePath": "a.jpg"}', "\ud800"])
def test_a_damaged_label_file_is_not_passed_over(tmp_path, capsys, content):
    folder = make_folder(tmp_path / "labelme", a=[make_point("head", 1)])
    (folder / "b.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    code, _, err, coco = convert(capsys, folder)
    assert (code, coco, "b.json" in err, err.count("\n")) == (2, None, True, 1)


def test_space_around_a_name_makes_no_keypoint(tmp_path, capsys):
    first = [make_point("left eye", 1), make_point("nose", 9)]
    second = [make_point(" left  eye\t", 2), make_point("nose\u00a0", 8)]
    box = {"label": "person ", "points": [[0, 0], [20, 20]], "group_id": None, "shape_type": "rectangle"}
    folder = make_folder(tmp_path / "labelme", a=[*first, {**box, "label": "person"}], b=[*second, box])
    code, _, _, coco = convert(capsys, folder)
    assert (code, coco["categories"]) == (0, [{"id": 1, "name": "person", "keypoints": ["left eye", "nose"]}])
    assert [person["keypoints"] for person in coco["annotations"]] == [[1, 5, 2, 9, 5, 2], [2, 5, 2, 8, 5, 2]]


def test_names_that_differ_in_letters_alone_are_refused_unless_given(tmp_path, capsys):
    folder = make_folder(tmp_path / "labelme", a=[make_point("Nose", 1)], b=[make_point("nose", 9)])
    code, _, err, _ = convert(capsys, folder)
    assert (code, "'Nose' and 'nose' differ only in upper and lower case" in err) == (2, True)
    code, _, _, coco = convert(capsys, folder, "--keypoints", "nose", "Nose")
    assert (code, coco["categories"][0]["keypoints"]) == (0, ["nose", "Nose"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"group_id": [1]}, "needs a whole number as group_id"),
        ({"group_id": 1.5}, "needs a whole number as group_id"),
        ({"flags": ["occluded"]}, "needs an object as flags"),
        ({"label": "  "}, "needs a label"),
        ({"label": 5}, "needs a label"),
        ({"points": [[float("nan"), 1]]}, "needs points of two finite numbers"),
        ({"shape_type": "rectangle"}, "needs points of two finite numbers"),
        ({"shape_type": 5}, "needs a shape_type"),
    ],
)
def test_odd_shapes_are_one_sentence(tmp_path, capsys, fields, words):
    folder = make_folder(tmp_path / "labelme", a=[{**make_point("head", 1), **fields}])
    code, _, err, _ = convert(capsys, folder)
    assert (code, words in err, err.count("\n")) == (2, True, 1), err


def test_two_files_of_one_image_are_refused(tmp_path, capsys):
    folder = make_folder(tmp_path / "labelme", a=[make_point("head", 1)])
    (folder / "a.JSON.json").write_text((folder / "a.json").read_text().replace("a.jpg", "a.JSON.jpg"))
    assert convert(capsys, folder)[0] == 0
    (tmp_path / "out.json").unlink()
    (folder / "a.png.json").write_text((folder / "a.json").read_text())
    code, _, err, _ = convert(capsys, folder)
    assert (code, "a.png.json is of the image a.jpg" in err) == (2, True)


def test_categories_with_different_keypoints_stay_apart(tmp_path, capsys):
    def make_group(group, category, *names):
        box = {"label": category, "points": [[0, 0], [20, 20]], "shape_type": "rectangle"}
        return [{**box, "group_id": group}, *(make_point(name, 3, group_id=group) for name in names)]

    shapes = [*make_group(1, "dog", "ear", "tail"), *make_group(2, "car", "wheel"), *make_group(3, "cat", "tail")]
    code, _, _, coco = convert(capsys, make_folder(tmp_path / "labelme", a=shapes))
    keypoints = {entry["name"]: entry["keypoints"] for entry in coco["categories"]}
    assert (code, keypoints) == (0, {"dog": ["ear", "tail"], "car": ["wheel"], "cat": ["ear", "tail"]})
