"""COCO to YOLO, LabelMe, CVAT and Label Studio and back: all people are there again, and what is left out is said."""

import random

import numpy as np
import pytest

from rtmo_plugin.labels import read_coco
from rtmo_plugin.labels.conversion import WRITTEN, convert_from_coco, convert_to_coco
from rtmo_plugin.labels.label_set import ReadOptions
from tests.labels.conftest import make_person, make_set

ALL = sorted(WRITTEN)


def name_target(folder, name):
    return folder / ("labels.xml" if name == "cvat" else name)


def send_round(coco, folder, name):
    """Return what comes back of a COCO file that was written in another format."""
    target = name_target(folder, name)
    convert_from_coco(coco, target, name)
    sizes = {image["file_name"]: (image["width"], image["height"]) for image in coco["images"]}
    keypoints = {category["name"]: category["keypoints"] for category in coco["categories"]}
    return convert_to_coco(target, name, ReadOptions(keypoints=keypoints, sizes=sizes))[0]


def list_people(coco):
    """Return the people by image: category, box and labeled keypoints, as every format holds them."""
    names = {category["id"]: category["name"] for category in coco["categories"]}
    people = {image["id"]: [] for image in coco["images"]}
    for person in coco["annotations"]:
        if not person.get("iscrowd"):
            triples = zip(*(iter(person["keypoints"]),) * 3)
            points = [(x, y, v) if v > 0 else (0, 0, 0) for x, y, v in triples]
            numbers = [*person["bbox"], *(number for point in points for number in point)]
            people[person["image_id"]].append((names[person["category_id"]], numbers))
    return {image["file_name"]: people[image["id"]] for image in coco["images"]}


def assert_same_people(coco, expected):
    found, wanted = list_people(coco), list_people(expected)
    assert found.keys() == wanted.keys()
    for name, people in wanted.items():
        assert [category for category, _ in found[name]] == [category for category, _ in people]
        for (_, numbers), (_, others) in zip(found[name], people):
            np.testing.assert_allclose(numbers, others, atol=1e-6)


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
        {"id": next(ids), "file_name": f"{folder}{n}.jpg", "width": draw.randint(400, 999), "height": 480, "license": n}
        for n, folder in enumerate(draw.choices(("", "a/", "a/b c/"), k=draw.randint(1, 8)))
    ]
    num_people = draw.randint(0, 25)
    people = [draw_person(draw, next(ids), images, names, categories) for _ in range(num_people)]
    return {"info": {"seed": seed}, "images": images, "annotations": people, "categories": categories, "own": [1.5]}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(10))
def test_people_of_random_sets_come_back(tmp_path, name, seed):
    coco = draw_set(seed)
    assert_same_people(send_round(coco, tmp_path, name), coco)


@pytest.mark.parametrize("name", ALL)
def test_people_of_real_coco_come_back(data_dir, tmp_path, name):
    coco = read_coco(data_dir / "coco/annotations/person_keypoints_val2017.json")
    labeled = [person for person in coco["annotations"] if person["num_keypoints"] or person["bbox"][2]]
    assert_same_people(send_round(coco, tmp_path, name), {**coco, "annotations": labeled})


def test_all_ways_through_all_formats(tmp_path):
    coco = expected = draw_set(99)
    for step, name in enumerate([*ALL, *ALL]):
        coco = send_round(coco, tmp_path / str(step), name)
        assert_same_people(coco, expected)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("yolo", "id, license of images; area, id, note, segmentation, track of annotations; id, skeleton of cat"),
        ("labelme", "1 crowd region; id, license of images; area, id, note, segmentation, track of annotations;"),
        ("cvat", "area, id, note, segmentation, track of annotations; id of categories; info, own."),
    ],
)
def test_what_a_format_cannot_hold_is_listed(tmp_path, name, words):
    coco = make_set()
    coco["images"][0]["license"] = 3
    coco["annotations"][0].update(segmentation=[[1, 2, 3]], note="x", track={"id": 1})
    coco["annotations"][1]["iscrowd"] = 1
    written, notes = convert_from_coco({**coco, "info": {}, "own": 1}, name_target(tmp_path, name), name)
    assert words in notes[0]
    assert len(written["annotations"]) == 2


@pytest.mark.parametrize("name", ALL)
def test_a_set_without_people_or_without_images(tmp_path, name):
    coco = {**make_set(), "annotations": []}
    assert_same_people(send_round(coco, tmp_path, name), coco)
    with pytest.raises(ValueError, match="has no images"):
        convert_from_coco({**coco, "images": []}, tmp_path / "nothing", name)


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
    with pytest.raises(ValueError, match=r"two images are alike: 1\.jpg and 1\.png"):
        convert_from_coco(coco, tmp_path / name, name)
    assert list(tmp_path.iterdir()) == []


def test_yolo_has_one_set_of_keypoints(tmp_path):
    coco = make_set()
    coco["categories"].append({"id": 1, "name": "other", "keypoints": ["a"]})
    with pytest.raises(ValueError, match="one set of keypoints for all classes"):
        convert_from_coco(coco, tmp_path / "yolo", "yolo")
    assert list(tmp_path.iterdir()) == []
    for name in ("labelme", "cvat"):
        assert_same_people(send_round(coco, tmp_path, name), coco)


def test_bones_and_flips_come_back_where_the_format_has_them(tmp_path):
    coco = make_set()
    assert send_round(coco, tmp_path, "cvat")["categories"][0]["skeleton"] == [[1, 2], [1, 3], [1, 4], [1, 5]]
    for category in coco["categories"]:
        category["flip_pairs"] = [["left_hand", "right_foot"]]
    assert send_round(coco, tmp_path, "yolo")["categories"][0]["flip_pairs"] == [["left_hand", "right_foot"]]
