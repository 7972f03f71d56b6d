"""Files of large sets: COCO-WholeBody's fields, and names for files that have none."""

import json

import pytest

from rtmo_plugin.errors import DataError
from rtmo_plugin.keypoints import installed_sets
from rtmo_plugin.keypoints.installed_sets import read_installed_set
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.labels import check_file, read_coco, read_dataset_keypoints, split_file
from rtmo_plugin.labels.coco_files import name_keypoints
from tests.keypoints.test_whole_body import make_whole_person

IMAGES = [{"id": number, "file_name": f"{number}.jpg", "width": 640, "height": 480} for number in (1, 2)]


def write(folder, people, **category):
    path = folder / "people.json"
    categories = [{"id": 1, "name": "person", **category}]
    path.write_text(json.dumps({"images": IMAGES, "annotations": people, "categories": categories}))
    return path


@pytest.fixture
def whole_body_file(tmp_path):
    people = [make_whole_person(id=number, image_id=number) for number in (1, 2)]
    return write(tmp_path, people, keypoints=list(COCO.names), skeleton=[[1, 2]])


def test_whole_body_has_133_keypoints_with_names_sigmas_flips_and_bones(whole_body_file):
    found = read_dataset_keypoints(whole_body_file)
    known = read_installed_set("coco_wholebody")
    assert found.schema.names == known.names
    assert found.schema.sigmas == known.sigmas
    assert set(found.sigma_sources) == {"known"}
    assert {frozenset(pair) for pair in found.schema.flip_pairs} == {frozenset(pair) for pair in known.flip_pairs}
    assert found.schema.skeleton == known.skeleton


def test_whole_body_is_clean_and_split_with_all_keypoints(whole_body_file, tmp_path, capsys):
    assert check_file(whole_body_file), capsys.readouterr().out
    split_file(whole_body_file, tmp_path / "parts", val=0.5)
    parts = [json.loads((tmp_path / "parts" / name).read_text()) for name in ("train.json", "val.json")]
    assert [len(each["annotations"][0]["keypoints"]) for each in parts] == [399, 399]
    assert len(parts[0]["categories"][0]["keypoints"]) == 133


def test_whole_body_without_mmpose_names_the_package(whole_body_file, monkeypatch):
    monkeypatch.setattr(installed_sets, "list_installed_sets", list)
    monkeypatch.setattr("rtmo_plugin.keypoints.sets.list_installed_sets", list)
    read_installed_set.cache_clear()
    with pytest.raises(DataError, match="feet, face and hands, whose keypoint names are MMPose's: install it"):
        read_coco(whole_body_file)


def make_halpe_person(number, num_keypoints=26):
    points = [value for index in range(num_keypoints) for value in (50 + 3 * index, 20 + 2 * index, 2)]
    person = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "bbox": [40, 10, 120, 100]}
    return {**person, "area": 6000.0, "num_keypoints": num_keypoints, "keypoints": points}


def test_file_without_names_has_those_of_the_set(tmp_path):
    path = write(tmp_path, [make_halpe_person(1)], keypoints=[], skeleton=[])
    with pytest.raises(DataError, match="has no category with a list `keypoints` of names"):
        read_dataset_keypoints(path)
    known = read_installed_set("halpe26")
    found = read_dataset_keypoints(path, keypoint_set=known)
    assert (found.schema, found.classes) == (known, ("person",))
    assert read_dataset_keypoints(path, [0.1] * 26, known).schema.sigmas == (0.1,) * 26


def test_names_in_the_file_stay_and_sigmas_are_those_of_the_set(tmp_path):
    known = read_installed_set("ap10k")
    names = ["left_eye", "right_eye", "nose", "neck", "root_of_tail", "left_shoulder", "left_elbow", "left_front_paw",
             "right_shoulder", "right_elbow", "right_front_paw", "left_hip", "left_knee", "left_back_paw", "right_hip",
             "right_knee", "right_back_paw"]  # fmt: skip
    path = write(tmp_path, [make_halpe_person(1, 17)], keypoints=names)
    found = read_dataset_keypoints(path, keypoint_set=known)
    assert (found.schema.names, found.schema.sigmas) == (tuple(names), known.sigmas)
    assert {frozenset(pair) for pair in found.schema.flip_pairs} == {frozenset(pair) for pair in known.flip_pairs}
    with pytest.raises(DataError, match="has 17 keypoints, and the keypoint set of the config 26"):
        read_dataset_keypoints(path, keypoint_set=read_installed_set("halpe26"))


def test_only_fitting_categories_are_named():
    people = [make_halpe_person(1), {**make_halpe_person(2, 17), "category_id": 2}]
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "cat"}, {"id": 3, "name": "car"}]
    named = name_keypoints({"annotations": people, "categories": categories}, read_installed_set("halpe26"))
    assert [len(each.get("keypoints", ())) for each in named["categories"]] == [26, 0, 0]
