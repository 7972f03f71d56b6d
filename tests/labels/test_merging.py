"""COCO files of different keypoints as one file with one keypoint set: names, flips, bones, people, images."""

import json

import numpy as np
import pytest

from rtmo_plugin.cli.main import main
from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.labels import check_file, convert_file, merge_files, read_dataset_keypoints
from rtmo_plugin.labels.merging import join_names
from tests.labels.conftest import NAMES, make_set

DOG_NAMES = ["nose", "Hand L", "Hand R", "tail"]  # two of them are the walker's hands in another spelling


def make_dogs():
    points = [12, 12, 2, 20, 22, 2, 40, 24, 1, 50, 40, 2]
    dog = {"id": 1, "image_id": 5, "category_id": 3, "bbox": [10, 10, 45, 35], "area": 800.0, "iscrowd": 0,
           "num_keypoints": 4, "keypoints": points}  # fmt: skip
    return {
        "images": [{"id": 5, "file_name": "1.jpg", "width": 64, "height": 48}],
        "annotations": [dog],
        "categories": [{"id": 3, "name": "dog", "keypoints": DOG_NAMES, "skeleton": [[1, 2], [1, 3], [1, 4]]}],
    }


@pytest.fixture
def write(tmp_path):
    def put(name, coco):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(coco))
        return path

    return put


@pytest.fixture
def merged(write, tmp_path):
    """Return walkers, dancers and dogs in one file, whose images are in two folders under the same names."""
    files = [write("people/people.json", make_set()), write("dogs/dogs.json", make_dogs())]
    out = tmp_path / "both.json"
    assert merge_files(files, out, images=[tmp_path / "people", tmp_path / "dogs"])
    return out


def test_keypoints_are_the_union_in_any_spelling(merged):
    coco = json.loads(merged.read_text())
    names = [*NAMES, "nose", "tail"]
    assert [each["keypoints"] for each in coco["categories"]] == [names] * 3
    people = {each["category_id"]: np.reshape(each["keypoints"], (7, 3)).tolist() for each in coco["annotations"]}
    assert [each["name"] for each in coco["categories"]] == ["walker", "dancer", "dog"]
    assert people[1] == [[30, 10, 2], [20, 20, 2], [40, 20, 1], [0, 0, 0], [38, 44, 2], [0, 0, 0], [0, 0, 0]]
    assert people[3] == [[0, 0, 0], [20, 22, 2], [40, 24, 1], [0, 0, 0], [0, 0, 0], [12, 12, 2], [50, 40, 2]]


def test_flips_are_of_the_union_and_bones_of_each_category(merged):
    coco = json.loads(merged.read_text())
    assert [each["skeleton"] for each in coco["categories"]] == [
        [[1, 2], [1, 3], [1, 4], [1, 5]], [[1, 2], [1, 3], [1, 4], [1, 5]], [[6, 2], [6, 3], [6, 7]]
    ]  # fmt: skip
    found = read_dataset_keypoints(merged)
    assert found.classes == ("walker", "dancer", "dog")
    assert found.schema.flip_pairs == ((1, 2), (3, 4))
    assert found.schema.skeleton == ((0, 1), (0, 2), (0, 3), (0, 4), (5, 1), (5, 2), (5, 6))


def test_images_of_the_same_name_stay_apart_and_the_file_is_clean(merged, capsys):
    coco = json.loads(merged.read_text())
    assert [each["file_name"] for each in coco["images"]] == [
        "people/1.jpg", "people/2.jpg", "people/3.jpg", "dogs/1.jpg"
    ]  # fmt: skip
    assert [each["id"] for each in coco["images"]] == [1, 2, 3, 4]
    assert [each["image_id"] for each in coco["annotations"]] == [1, 1, 2, 4]
    assert [each["id"] for each in coco["annotations"]] == [1, 2, 3, 4]
    assert check_file(merged), capsys.readouterr().out


def test_same_names_without_folders_are_refused_and_one_folder_twice_is_the_same_images(write, tmp_path, capsys):
    files = [write("people.json", make_set()), write("dogs.json", make_dogs())]
    with pytest.raises(DataError, match=r"An image 1.jpg is in .*people.json and in .*dogs.json: name the folder"):
        merge_files(files, tmp_path / "both.json")
    assert not (tmp_path / "both.json").exists()
    merge_files(files, tmp_path / "both.json", images=[tmp_path, tmp_path])
    assert "Images in several files, each there once: 1." in capsys.readouterr().out
    coco = json.loads((tmp_path / "both.json").read_text())
    assert [each["file_name"] for each in coco["images"]] == ["1.jpg", "2.jpg", "3.jpg"]
    assert [each["image_id"] for each in coco["annotations"]] == [1, 1, 2, 1]


def test_classes_of_one_name_are_joined_and_all_can_be(write, tmp_path):
    more = make_dogs()
    more["categories"][0]["name"], more["images"][0]["file_name"] = "dancer", "9.jpg"
    files = [write("people.json", make_set()), write("more.json", more)]
    merge_files(files, tmp_path / "both.json")
    merge_files(files, tmp_path / "one.json", one_class="animal")
    both, one = (json.loads((tmp_path / name).read_text()) for name in ("both.json", "one.json"))
    assert [each["name"] for each in both["categories"]] == ["walker", "dancer"]
    assert [each["category_id"] for each in both["annotations"]] == [1, 2, 1, 2]
    assert both["categories"][1]["skeleton"] == [[1, 2], [1, 3], [1, 4], [1, 5], [6, 2], [6, 3], [6, 7]]
    assert [each["name"] for each in one["categories"]] == ["animal"]
    assert {each["category_id"] for each in one["annotations"]} == {1}


def test_one_file_whose_classes_differ_is_joined_by_the_advice_of_its_refusal(write, tmp_path, capsys):
    coco, dogs = make_set(), make_dogs()
    coco["categories"][1] = {**dogs["categories"][0], "id": 900_000}
    coco["annotations"][1] = {**dogs["annotations"][0], "id": 2, "image_id": 100, "category_id": 900_000}
    path = write("mixed.json", coco)
    assert not check_file(path)
    assert "which `rtmo dataset merge` joins to one set" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"join the keypoints first by `rtmo dataset merge .*mixed.json --out FILE`"):
        read_dataset_keypoints(path)
    with pytest.raises(DataError, match="the categories have different ones: join them by `rtmo dataset merge`"):
        convert_file(path, tmp_path / "yolo", target_format="yolo")
    main(["dataset", "merge", str(path), "--out", str(tmp_path / "joined.json")])
    assert read_dataset_keypoints(tmp_path / "joined.json").schema.num_keypoints == 7
    assert convert_file(tmp_path / "joined.json", tmp_path / "yolo", target_format="yolo")


def test_own_flip_pairs_that_contradict_one_another_are_refused(write, tmp_path):
    dogs = make_dogs()
    dogs["images"][0]["file_name"] = "9.jpg"
    dogs["categories"][0]["flip_pairs"] = [["Hand L", "tail"]]
    files = [write("people.json", make_set()), write("dogs.json", dogs)]
    with pytest.raises(
        DataError, match="A flip exchanges left_hand with right_hand in one category and with tail in dog"
    ):
        merge_files(files, tmp_path / "both.json")


def test_wrong_arguments_and_files(write, tmp_path):
    path = write("people.json", make_set())
    with pytest.raises(ConfigError, match="--images needs a folder for each of the 1 files, not 2"):
        merge_files([path], tmp_path / "out.json", images=[tmp_path, tmp_path])
    with pytest.raises(DataError, match="exists already and is not overwritten"):
        merge_files([path], path)
    broken = make_set()
    broken["annotations"][0]["keypoints"] = [1, 2, 2]
    with pytest.raises(DataError, match=r"cannot be merged, run check with --fix first: .* \[keypoint-count\]"):
        merge_files([write("broken.json", broken)], tmp_path / "out.json")
    broken = {**make_set(), "categories": [{"id": 7, "name": "walker"}]}
    with pytest.raises(DataError, match=r"unknown-category|category-keypoints"):
        merge_files([write("nameless.json", broken)], tmp_path / "out.json")
    with pytest.raises(SystemExit, match="2"):
        main(["dataset", "merge", str(tmp_path / "none.json"), "--out", str(tmp_path / "out.json")])


@pytest.mark.parametrize(
    ("lists", "joined", "places"),
    [
        ([["a", "b"], ["b", "c"]], ["a", "b", "c"], [[0, 1], [1, 2]]),
        ([["nose"], ["left_eye", "eye_left"]], ["nose", "left_eye", "eye_left"], [[0], [1, 2]]),
        ([["left_eye"], ["left_eye", "eye_left"]], ["left_eye", "eye_left"], [[0], [0, 1]]),
    ],
)
def test_union_of_names(lists, joined, places):
    assert join_names(lists) == (joined, places)
