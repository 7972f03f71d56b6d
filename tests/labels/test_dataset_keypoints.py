"""What a COCO file asks a model to learn: classes, keypoints, flip pairs, skeleton, sigmas; and what is refused."""

import json
import math

import pytest

from rtmo_plugin.keypoints.order import match_names
from rtmo_plugin.keypoints.sets import COCO, CROWDPOSE
from rtmo_plugin.keypoints.sides import split_side, swap_side
from rtmo_plugin.labels import read_coco, read_dataset_keypoints
from rtmo_plugin.labels.sigmas import choose_sigmas, estimate_sigmas
from tests.labels.conftest import NAMES, make_category, make_person, make_set


def make_points(*points, area=100.0, v=2):
    return {"keypoints": [value for x, y in points for value in (x, y, v)], "area": area, "bbox": [0, 0, 9, 9]}


def write(folder, coco):
    path = folder / "people.json"
    path.write_text(json.dumps(coco))
    return path


def test_classes_keypoints_pairs_and_bones(tmp_path):
    found = read_dataset_keypoints(write(tmp_path, make_set()), sigmas=[0.1, 0.2, 0.2, 0.3, 0.3])
    assert found.classes == ("walker", "dancer")
    assert found.schema.names == tuple(NAMES)
    assert found.schema.flip_pairs == ((1, 2), (3, 4))
    assert found.schema.skeleton == ((0, 1), (0, 2), (0, 3), (0, 4))
    assert (found.schema.sigmas, found.sigma_sources) == ((0.1, 0.2, 0.2, 0.3, 0.3), ("given",) * 5)
    assert found.has_areas
    assert str(found) == "2 classes, 5 keypoints; sigmas are given"


def test_own_flip_pairs_and_broken_bones(tmp_path):
    coco = make_set()
    for category in coco["categories"]:
        category.update(flip_pairs=[["head", 5], [3, 2]], skeleton=[[1, 2], [0, 9]])
    found = read_dataset_keypoints(write(tmp_path, coco))
    assert found.schema.flip_pairs == ((0, 4), (1, 2))
    assert found.schema.skeleton == ((0, 1),)


def test_classes_come_by_id_and_categories_without_keypoints_do_not_count(tmp_path):
    coco = make_set()
    coco["categories"] = [{"id": 1, "name": "car"}, *reversed(coco["categories"])]
    coco["annotations"].append({"id": 50, "image_id": 100, "category_id": 1, "bbox": [1, 1, 5, 5]})
    assert read_dataset_keypoints(write(tmp_path, coco)).classes == ("walker", "dancer")


def test_somebody_without_area(tmp_path):
    coco = make_set()
    del coco["annotations"][0]["area"]
    assert not read_dataset_keypoints(write(tmp_path, coco)).has_areas


@pytest.mark.parametrize("name", ["coco", "crowdpose"])
def test_real_files_give_the_schemas_that_are_known_by_name(data_dir, name):
    files = {"coco": "annotations/person_keypoints_val2017.json", "crowdpose": "annotations/mmpose_crowdpose_val.json"}
    found, schema = read_dataset_keypoints(data_dir / name / files[name]), {"coco": COCO, "crowdpose": CROWDPOSE}[name]
    assert found.classes == ("person",)
    assert [*map(split_side, found.schema.names)] == [*map(split_side, schema.names)]
    assert found.schema.flip_pairs == schema.flip_pairs
    assert found.schema.sigmas == pytest.approx(schema.sigmas)
    assert set(found.sigma_sources) == {"known"}
    if name == "coco":
        assert set(found.schema.skeleton) == {tuple(bone) for bone in schema.skeleton}


REFUSED = {
    "broken": (lambda c: c["annotations"][0].update(keypoints=[1]), r"1 numbers for 5 keypoints.*\[keypoint-count\]"),
    "twice": (lambda c: [p.update(bbox=None) for p in c["annotations"][:2]], r"annotation 1 .* \(and 1 more\) \[box"),
    "not a number": (lambda c: c["annotations"][0].update(area=math.inf), r"area is inf \[area\]; run `rtmo dataset"),
    "side": (lambda c: c["categories"][0]["keypoints"].__setitem__(1, "left_x"), "left_x has no partner right_x"),
    "different": (
        lambda c: c["categories"].append({"id": 8, "name": "x", "keypoints": ["a"]}), r"not 5 .*\[category-differs\]",
    ),
    "namesakes": (lambda c: c["categories"].append(make_category(9, "walker")), "two categories named 'walker'"),
    "no names": (lambda c: c.update(categories=[{"id": 7, "name": "a"}]), "has no category with a list `keypoints`"),
    "sigmas": (lambda c: None, "one sigma for each name, got 5 names and 2 sigmas"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_training_could_not_use_is_one_sentence(tmp_path, kind):
    spoil, words = REFUSED[kind]
    coco = make_set()
    spoil(coco)
    with pytest.raises(ValueError, match=words):
        read_dataset_keypoints(write(tmp_path, coco), [1, 1] if kind == "sigmas" else None)


@pytest.mark.parametrize("sigmas", [0.1, "abcde", [0.1, None]])
def test_sigmas_that_are_no_numbers_are_refused(tmp_path, sigmas):
    with pytest.raises(ValueError, match="Sigmas are a list of numbers, one a keypoint, not"):
        read_dataset_keypoints(write(tmp_path, make_set()), sigmas)


def test_what_training_leaves_out_by_itself_is_not_refused(tmp_path):
    coco = make_set()
    coco["annotations"] += [make_person(9, 555), make_person(10, 100, bbox=[1, 1, 0, 3]), make_person(1, 100)]
    assert read_dataset_keypoints(write(tmp_path, coco)).schema.num_keypoints == 5


@pytest.mark.parametrize("name", ["left_eye", "eye_left", "LeftEye", "l_eye", "Eye-L", "left eye", "lefteye", "L Eye"])
def test_spellings_of_one_name(name):
    assert split_side(name) == ("left", "eye")
    assert split_side(swap_side(name)) == ("right", "eye")
    assert choose_sigmas([name], []) == ((0.025,), ("known",))


def test_names_are_matched_whatever_their_spelling():
    assert match_names(COCO.names, CROWDPOSE.names) == {index: index + 5 for index in range(12)}
    assert match_names(CROWDPOSE.names, COCO.names) == {index + 5: index for index in range(12)}
    assert match_names(["wrist_l", "nose"], ["nose", "tail", "LeftWrist"]) == {0: 1, 2: 0}


def test_sigma_is_a_share_of_the_distance_to_the_nearest_keypoint():
    people = [make_points((0, 0), (2, 0), (2, 1.5)), make_points((5, 5), (9, 5), (9, 8), area=400.0)]
    assert estimate_sigmas(people, 3) == pytest.approx([0.31 * 0.2, 0.31 * 0.15, 0.31 * 0.15])
    sigmas, sources = choose_sigmas(["beak", "left_wing", "right_wing"], people)
    assert sigmas == (0.062, 0.046, 0.046)  # sides share one
    assert set(sources) == {"estimated"}


def test_sigma_without_any_distance_is_typical_and_extremes_are_cut():
    assert choose_sigmas(["beak"], [make_points((1, 1))]) == ((0.063,), ("typical",))
    far, near = make_points((0, 0), (50, 0)), make_points((0, 0), (0.01, 0))
    assert choose_sigmas(["beak", "tail"], [far])[0] == (0.107, 0.107)
    assert choose_sigmas(["beak", "tail"], [near])[0] == (0.025, 0.025)
    unlabeled = make_points((0, 0), (1, 0), v=0)
    assert choose_sigmas(["beak", "tail"], [unlabeled])[1] == ("typical", "typical")


def test_box_stands_in_for_a_missing_area():
    person = {**make_points((0, 0), (2, 0)), "bbox": [0, 0, 10, 10], "area": None}
    assert estimate_sigmas([person], 2) == pytest.approx([0.31 * 2 / math.sqrt(53)] * 2)


def test_estimates_come_close_to_cocos_own_sigmas(data_dir):
    coco = read_coco(data_dir / "coco/annotations/person_keypoints_val2017_538images.json")
    people = [person for person in coco["annotations"] if not person["iscrowd"] and person["num_keypoints"]]
    factors = [math.exp(abs(math.log(a / b))) for a, b in zip(estimate_sigmas(people, 17), COCO.sigmas)]
    assert max(factors) < 1.55
    assert sum(factors) / 17 < 1.17
