"""COCO to YOLO, LabelMe and CVAT and back: nothing is lost, and what was edited in between stays edited."""

import json
import random
import re

import pytest

from rtmo_plugin.labels import FORMATS, read_coco
from rtmo_plugin.labels.conversion import convert_from_coco, convert_to_coco
from rtmo_plugin.labels.patches import apply_patch, find_patch
from tests.labels.conftest import make_person, make_set

ALL = sorted(FORMATS)


def name_target(folder, name):
    return folder / ("labels.xml" if name == "cvat" else name)


def send_round(coco, folder, name):
    target = name_target(folder, name)
    convert_from_coco(coco, target, name)
    return convert_to_coco(target, name)


def draw_number(draw):
    kinds = (draw.randint(-5, 900), round(draw.uniform(0, 640), 2), draw.uniform(0, 640), float(draw.randint(0, 9)))
    return draw.choice(kinds)


def draw_person(draw, person_id, images, names, categories):
    keypoints = []
    for _ in names:
        v = draw.choice((0, 1, 2))
        hidden = draw.random() < 0.5
        keypoints += [0, 0, 0] if v == 0 and hidden else [draw_number(draw), draw_number(draw), v]
    person = {
        "id": person_id, "image_id": draw.choice(images)["id"], "category_id": draw.choice(categories)["id"],
        "keypoints": keypoints, "num_keypoints": len(names) - keypoints[2::3].count(0),
        "bbox": [draw_number(draw), draw_number(draw), draw.uniform(1, 99), draw.randint(1, 99)],
        "area": draw.uniform(1, 999), "iscrowd": int(draw.random() < 0.2),
    }  # fmt: skip
    extras = {"segmentation": [[draw_number(draw) for _ in range(6)]], "note": "ä <&> \"'", "track": {"id": [1, None]}}
    person.update({key: value for key, value in extras.items() if draw.random() < 0.5})
    for key in ("area", "iscrowd"):
        if draw.random() < 0.2:
            del person[key]
    return person


def draw_set(seed):
    """Return a random set: ids of any value and order, empty images, hidden coordinates, crowds, fields of its own."""
    draw = random.Random(seed)
    names = [f"{side}_{part}" for part in "abcdefg"[: draw.randint(1, 7)] for side in ("left", "right")]
    names = draw.sample(names, draw.randint(1, len(names)))
    ids = iter(draw.sample(range(-50, 10**12), 100))
    categories = [
        {"id": next(ids), "name": name, "keypoints": list(names), "skeleton": []}
        for name in ("person", "café <1>", "x box")[: draw.randint(1, 3)]
    ]
    images = [
        {"id": next(ids), "file_name": f"{folder}{n}.jpg", "width": draw.randint(1, 999), "height": 480, "license": n}
        for n, folder in enumerate(draw.choices(("", "a/", "a/b c/"), k=draw.randint(1, 8)))
    ]
    num_people = draw.randint(0, 25)
    people = [draw_person(draw, next(ids), images, names, categories) for _ in range(num_people)]
    return {"info": {"seed": seed}, "images": images, "annotations": people, "categories": categories, "own": [1.5]}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(10))
def test_random_sets_come_back_equal(tmp_path, name, seed):
    coco = draw_set(seed)
    assert send_round(coco, tmp_path, name) == coco


@pytest.mark.parametrize("name", ALL)
def test_real_coco_comes_back_equal_and_keypoints_are_not_in_the_side_file(data_dir, tmp_path, name):
    coco = read_coco(data_dir / "coco/annotations/person_keypoints_val2017.json")
    assert send_round(coco, tmp_path, name) == coco
    side = FORMATS[name].side_name(name_target(tmp_path, name)).read_text()
    num_crowds = sum(person["iscrowd"] for person in coco["annotations"])
    assert side.count('"keypoints"') == num_crowds  # whole crowd regions alone
    assert '"bbox": {"was"' not in side


@pytest.mark.parametrize("name", ALL)
def test_all_ways_through_all_formats(tmp_path, name):
    coco = draw_set(99)
    for step, other in enumerate([name, *ALL]):
        coco_before, coco = coco, send_round(coco, tmp_path / str(step), other)
        assert coco == coco_before


def edit(path, pattern, replacement):
    text = path.read_text()
    edited, count = re.subn(pattern, replacement, text, count=1, flags=re.S)
    assert count == 1, text
    path.write_text(edited)


EDITS = {
    "yolo": ("labels/train/1.txt", r"^0 \S+ \S+ \S+ \S+ \S+", "0 0.46875 0.5625 0.375 0.791666666666667 0.5"),
    "labelme": ("1.json", r'("label": "head",\s*"points": \[\s*\[\s*)30', r"\g<1>32"),
    "cvat": ("", r'(label="head" outside="0" occluded="0" points=")30', r"\g<1>32"),
}


@pytest.mark.parametrize("name", ALL)
def test_an_edit_counts_and_keeps_the_rest(tmp_path, name):
    coco, target = make_set(), name_target(tmp_path, name)
    coco["annotations"][0].update(id=77, segmentation=[[1, 2, 3, 4, 5, 6]])
    convert_from_coco(coco, target, name)
    file, pattern, replacement = EDITS[name]
    edit(target / file if file else target, pattern, replacement)
    back = convert_to_coco(target, name)
    coco["annotations"][0]["keypoints"][0] = 32
    assert back == coco


@pytest.mark.parametrize("name", ALL)
def test_a_person_that_was_removed_stays_away_and_the_others_keep_their_own(tmp_path, name):
    coco, target = make_set(), name_target(tmp_path, name)
    coco["annotations"][1]["keypoints"][0] = 31
    for person in coco["annotations"]:
        person["note"] = f"of {person['id']}"
    convert_from_coco(coco, target, name)
    if name == "yolo":
        edit(target / "labels/train/1.txt", r"^[^\n]*\n", "")
    elif name == "cvat":
        edit(target, r'<skeleton label="walker".*?</skeleton>\s*<box [^>]*>', "")
    else:
        document = json.loads((target / "1.json").read_text())
        document["shapes"] = [shape for shape in document["shapes"] if shape["group_id"] != 0]
        (target / "1.json").write_text(json.dumps(document))
    back = convert_to_coco(target, name)
    back.pop(name, None)  # the other's number in the image, which would be given anew
    assert back == {**coco, "annotations": coco["annotations"][1:]}


def test_a_person_that_was_added_gets_a_free_id(tmp_path):
    coco = make_set()
    convert_from_coco(coco, tmp_path / "yolo", "yolo")
    file = tmp_path / "yolo/labels/train/3.txt"
    file.write_text("1 0.5 0.5 0.25 0.5" + " 0.5 0.5 2" * 5 + "\n")
    back = convert_to_coco(tmp_path / "yolo", "yolo")
    new = {
        "id": 4, "image_id": 300, "category_id": 900_000, "bbox": [30, 15, 20, 30], "area": 600, "iscrowd": 0,
        "keypoints": [40, 30, 2] * 5, "num_keypoints": 5,
    }  # fmt: skip
    assert back == {**coco, "annotations": [*coco["annotations"], new]}


@pytest.mark.parametrize("name", ALL)
def test_a_set_without_people_or_without_images(tmp_path, name):
    coco = {**make_set(), "annotations": []}
    assert send_round(coco, tmp_path, name) == coco
    with pytest.raises(ValueError, match="has no images"):
        convert_from_coco({**coco, "images": []}, tmp_path / "nothing", name)


def test_patches_are_the_difference():
    native = {"a": 1, "b": [{"x": 1}, {"x": 2}], "c": [1, 2], "d": {"e": 1}}
    wanted = {"a": 2, "b": [{"x": 2, "y": 3}, {"z": 0}], "c": [1, 3], "f": None}
    assert apply_patch(native, find_patch(native, wanted)) == wanted
    assert find_patch(wanted, wanted) is None
    assert apply_patch({**native, "a": 5, "c": [7]}, find_patch(native, wanted)) == {**wanted, "a": 5, "c": [7]}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"annotations": [make_person(1, 9)]}, r"run check with --fix first: annotation 1 .* \[unknown-image\]"),
        ({"annotations": [make_person(1, 100, bbox=[])]}, r"\[box-number\]"),
        (
            {"images": [*make_set()["images"], {**make_set()["images"][0], "id": 9}]},
            "two images have the file_name '1.jpg'",
        ),
    ],
)
def test_broken_sets_are_refused(tmp_path, name, change, words):
    with pytest.raises(ValueError, match=words):
        convert_from_coco({**make_set(), **change}, name_target(tmp_path, name), name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["yolo", "labelme"])
def test_two_images_of_one_stem_are_refused(tmp_path, name):
    coco = make_set()
    coco["images"][1]["file_name"] = "1.png"
    with pytest.raises(ValueError, match="two images are called 1"):
        convert_from_coco(coco, tmp_path / name, name)


def test_yolo_has_one_set_of_keypoints(tmp_path):
    coco = make_set()
    coco["categories"].append({"id": 1, "name": "other", "keypoints": ["a"]})
    with pytest.raises(ValueError, match="one set of keypoints for all classes"):
        convert_from_coco(coco, tmp_path / "yolo", "yolo")
    for name in ("labelme", "cvat"):
        assert send_round(coco, tmp_path, name) == coco
