"""Left and right in keypoint names: for flips and sigmas, one function."""

import json
from pathlib import Path

import mmpose
import pytest
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from PIL import Image

from rtmo_plugin.config.custom_data import describe_flips
from rtmo_plugin.errors import DataError
from rtmo_plugin.keypoints.metainfo import make_metainfo
from rtmo_plugin.keypoints.order import match_names
from rtmo_plugin.keypoints.sets import find_schema
from rtmo_plugin.keypoints.sides import read_sides, split_side, swap_side
from rtmo_plugin.labels import check_coco, convert_file, read_coco, read_dataset_keypoints
from rtmo_plugin.labels.sigmas import choose_sigmas

METAINFO = sorted((Path(mmpose.__file__).parent / ".mim/configs/_base_/datasets").glob("*.py"))
SPELLINGS = [
    ("left_eye", "right_eye"), ("front_left_paw", "front_right_paw"), ("RShoulder", "LShoulder"),
    ("rwrist", "lwrist"), ("eyeL", "eyeR"), ("forelegL1", "forelegR1"), ("forelegl1", "forelegr1"),
    ("medial_right_shoulder", "medial_left_shoulder"), ("eye_left_1", "eye_right_1"), ("eye (left)", "eye (right)"),
    ("eye[L]", "eye[R]"), ("hand(R)2", "hand(L)2"), ("LBigToe", "RBigToe"), ("LEFTEYE", "RIGHTEYE"),
    ("frontleftpaw", "frontrightpaw"), ("leftHand2", "rightHand2"), ("paw.l.front", "paw.r.front"),
    ("Left Eye", "right-eye"), ("L_eye", "right_eye"), ("eye_left", "RightEye"), ("paw_FL", "paw_FR"),
    ("flpaw", "frpaw"), ("pawlf", "pawrf"), ("LF", "RF"), ("L", "R"), ("left", "right"), ("左眼", "右眼"),
    ("Rt_knee", "Lt_knee"), ("Auge links", "Auge rechts"), ("leftmost", "rightmost"), ("L1", "R1"),
]  # fmt: skip
NO_SIDES = [
    "upright",
    "bright",
    "leftover",
    "collar",
    "hallux",
    "lower_lip",
    "rear",
    "ear",
    "tail",
    "root",
    "L5",
    "heel",
]


def read_pairs(names):
    return {frozenset((names[a], names[b])) for a, b in enumerate(read_sides(names).partners) if a != b}


def write_coco(folder, names, **category):
    coco = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "x", "keypoints": names, **category}]}
    path = folder / "people.json"
    path.write_text(json.dumps(coco))
    return path


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_sides_are_exchanged_in_every_spelling(one, other):
    assert read_pairs(["nose", one, "tail", other]) == {frozenset((one, other))}
    assert read_sides([one, other]).faults == read_sides([one, other]).doubts == ()
    (side, part), (other_side, other_part) = read_sides([one, other]).parts
    assert {side, other_side} == {"left", "right"}
    assert part == other_part


def test_words_that_only_contain_a_side_have_none():
    assert read_sides(NO_SIDES).partners == tuple(range(len(NO_SIDES)))
    assert read_sides(NO_SIDES).faults == read_sides(NO_SIDES).doubts == ()
    assert [split_side(name)[0] for name in NO_SIDES] == [""] * len(NO_SIDES)
    assert [swap_side(name) for name in NO_SIDES] == NO_SIDES


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["FL", "FR", "RL", "RR"], {("FL", "FR"), ("RL", "RR")}),
        (["LF", "RF", "LR", "RR"], {("LF", "RF"), ("LR", "RR")}),
        (["LA", "RA", "LL", "RL"], {("LA", "RA"), ("LL", "RL")}),
        (["L_F_Paw", "R_F_Paw", "L_R_Paw", "R_R_Paw"], {("L_F_Paw", "R_F_Paw"), ("L_R_Paw", "R_R_Paw")}),
        (["lear", "rear", "lips"], {("lear", "rear")}),
        (["left_eye", "L_eye", "right_eye", "R_eye"], {("left_eye", "right_eye"), ("L_eye", "R_eye")}),
        (
            ["left_eye_left_corner", "left_eye_right_corner", "right_eye_left_corner", "right_eye_right_corner"],
            {("left_eye_left_corner", "right_eye_right_corner"), ("left_eye_right_corner", "right_eye_left_corner")},
        ),
    ],
)
def test_names_are_read_together(names, pairs):
    assert read_pairs(names) == {frozenset(pair) for pair in pairs}


@pytest.mark.parametrize("path", METAINFO, ids=lambda path: path.stem)
def test_mmposes_sets_flip_as_mmpose_says_or_are_refused(path, tmp_path):
    info = parse_pose_metainfo(Config.fromfile(path)["dataset_info"])
    names = [info["keypoint_id2name"][index] for index in range(info["num_keypoints"])]
    own = {frozenset((names[a], names[b])) for a, b in info["flip_pairs"]}
    file = write_coco(tmp_path, names)
    if read_sides(names).faults:
        with pytest.raises(
            DataError, match=r"do not tell left from right: give the category flip_pairs.*category-flip"
        ):
            read_dataset_keypoints(file)
        assert read_pairs(names) <= own
    else:
        assert {frozenset((names[a], names[b])) for a, b in read_dataset_keypoints(file).schema.flip_pairs} == own
    given = write_coco(tmp_path, names, flip_pairs=[sorted(pair) for pair in own])
    assert {frozenset((names[a], names[b])) for a, b in read_dataset_keypoints(given).schema.flip_pairs} == own


def test_all_of_mmposes_files_were_read():
    assert len(METAINFO) == 55


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["eyeL", "earR"], "eyeL has no partner eyeR"),
        (["lefteye", "righteyes"], "lefteye has no partner righteye"),
        (["eyeL", "eyeR", "earL", "earrR"], "earL has no partner earR"),
        (["kpt_0", "kpt_1", "kpt_2"], "numbers such as kpt_0 do not tell left from right"),
    ],
)
def test_doubtful_sides_are_a_finding_and_a_line_before_training(tmp_path, names, words):
    coco = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "x", "keypoints": names}]}
    assert words in check_coco(coco)["category-sides"][0].text
    schema = read_dataset_keypoints(write_coco(tmp_path, names)).schema
    assert words in describe_flips(parse_pose_metainfo(make_metainfo("x", schema)))
    coco["categories"][0]["flip_pairs"] = []
    assert check_coco(coco) == {}


def test_given_pairs_win():
    names, sigmas = ["left_eye", "right_eye", "nose"], [0.1] * 3
    assert find_schema({"names": names, "sigmas": sigmas}).flip_pairs == ((0, 1),)
    assert find_schema({"names": names, "sigmas": sigmas, "flip_pairs": [[0, 2]]}).flip_pairs == ((0, 2),)
    nothing = find_schema({"names": names, "sigmas": sigmas, "flip_pairs": []})
    assert nothing.flip_pairs == ()
    assert "not even left_eye and right_eye" in describe_flips(parse_pose_metainfo(make_metainfo("x", nothing)))


def test_flips_of_sure_sets_are_no_line():
    for keypoints in ("coco", "crowdpose"):
        assert describe_flips(parse_pose_metainfo(make_metainfo("x", find_schema(keypoints)))) == ""


def test_sigmas_and_transfer_know_the_same_sides():
    assert choose_sigmas(["rwrist", "lwrist", "LKnee", "eye (left)"], []) == (
        (0.062, 0.062, 0.087, 0.025),
        ("known",) * 4,
    )
    assert match_names(["左眼", "右眼", "鼻"], ["右眼", "鼻"]) == {0: 1, 1: 2}
    assert match_names(["left_wrist", "right_wrist"], ["rwrist", "lwrist"]) == {0: 1, 1: 0}


def test_numbered_keypoints_of_yolo_keep_the_flips_that_it_gives(tmp_path):
    for folder in ("images/train", "labels/train"):
        (tmp_path / folder).mkdir(parents=True)
    Image.new("RGB", (64, 48)).save(tmp_path / "images/train/1.png")
    (tmp_path / "labels/train/1.txt").write_text("0 .5 .5 .5 .5" + " .5 .5 2" * 12)
    data = {"train": "images/train", "names": {0: "x"}, "kpt_shape": [12, 3], "flip_idx": list(range(12))}
    (tmp_path / "data.yaml").write_text(json.dumps(data))
    convert_file(tmp_path, tmp_path / "people.json", "yolo")
    assert read_coco(tmp_path / "people.json")["categories"][0]["flip_pairs"] == []
    assert read_dataset_keypoints(tmp_path / "people.json").schema.flip_pairs == ()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("oeil gauche", "oeil droit"), ("oreille_gauche", "oreille_droite"), ("linkes Auge", "rechtes Auge"),
        ("linke_hand", "rechte_hand"), ("левый_глаз", "правый_глаз"), ("левая рука", "правая рука"),
        ("lewa_stopa", "prawa_stopa"), ("olho_esq", "olho_dir"),
    ],
)  # fmt: skip
def test_sides_in_more_languages(left, right):
    sides = read_sides(["x", left, right])
    assert (sides.partners, sides.faults, sides.doubts) == ((0, 2, 1), (), ())
    assert [side for side, _ in sides.parts] == ["", "left", "right"]
