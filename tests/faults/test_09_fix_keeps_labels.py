"""``check --fix`` converts what leaves no doubt, drops no labels for their form, and fails on an empty copy."""

import json
import math

import pytest
from PIL import Image

from rtmo_plugin.labels import check_coco, fix_coco, read_coco
from rtmo_plugin.labels.image_inspection import find_moved_images
from rtmo_plugin.labels.json_values import read_whole
from tests.faults.label_files import NAMES, make_file, make_people, write
from tests.tools.test_tools import run_in_process


def change(section, **values):
    def apply(coco):
        for place, entry in enumerate(coco[section]):
            entry.update({key: value(entry, place) if callable(value) else value for key, value in values.items()})

    return apply


def remove(section, key):
    def apply(coco):
        for entry in coco[section]:
            del entry[key]

    return apply


def both(*changes):
    return lambda coco: [each(coco) for each in changes]


def objects(person, _):
    return [dict(zip(("name", "x", "y", "v"), (name, *triple))) for name, triple in zip(NAMES, triples(person))]


def triples(person):
    return [person["keypoints"][start : start + 3] for start in range(0, 9, 3)]


FORMS = {
    "text ids": both(
        change("images", id=lambda e, _: f"{e['id']:012d}"),
        change("annotations", image_id=lambda e, _: f"{e['image_id']:012d}", id=lambda e, _: str(e["id"])),
    ),
    "ids of another type in people": change("annotations", image_id=lambda e, _: str(e["image_id"])),
    "float ids": both(change("images", id=lambda e, _: float(e["id"])), change("categories", id=1.0)),
    "float sizes": change("images", width=640.0, height="480"),
    "no annotation ids": remove("annotations", "id"),
    "null annotation ids": change("annotations", id=None),
    "text for annotation ids": change("annotations", id=lambda e, _: f"person-{e['id']}"),
    "no category ids in people": remove("annotations", "category_id"),
    "category by name": change("annotations", category_id="thing"),
    "category counted from 0": change("annotations", category_id=0),
    "nested": change("annotations", keypoints=lambda e, _: triples(e)),
    "nested by name": change("annotations", keypoints=lambda e, _: dict(zip(NAMES, triples(e)))),
    "objects": change("annotations", keypoints=objects),
    "text numbers": change(
        "annotations", keypoints=lambda e, _: [*map(str, e["keypoints"])], bbox=lambda e, _: [*map(str, e["bbox"])]
    ),
    "numbers as text": change("annotations", area=lambda e, _: str(e["area"]), num_keypoints=3.0, iscrowd=False),
    "two corners": change(
        "annotations", bbox=lambda e, _: [e["bbox"][:2], [e["bbox"][0] + e["bbox"][2], e["bbox"][1] + e["bbox"][3]]]
    ),
    "named box": change("annotations", bbox=lambda e, _: dict(zip(("x", "y", "width", "height"), e["bbox"]))),
    "bones by name": change("categories", skeleton=[["head", "hip"], ["hip", "foot"]]),
    "names in objects": change("categories", keypoints=[{"name": name, "id": i} for i, name in enumerate(NAMES)]),
    "file by another key": both(
        change("images", filename=lambda e, _: e["file_name"]), remove("images", "file_name")
    ),
}  # fmt: skip


def list_values(coco):
    """Return what counts of a file, without the keys of other programs."""
    names = {each["id"]: each["file_name"] for each in coco["images"]}
    images = [(each["file_name"], each["width"], each["height"]) for each in coco["images"]]
    people = [
        (names[each["image_id"]], [*map(float, each["bbox"])], [*map(float, each["keypoints"])], float(each["area"]))
        for each in coco["annotations"]
    ]
    return images, people, [(each["name"], each["keypoints"], each["skeleton"]) for each in coco["categories"]]


@pytest.mark.parametrize("name", FORMS)
def test_what_leaves_no_doubt_is_converted(name, tmp_path, capsys):
    expected, coco = make_file(make_people()), make_file(make_people())
    FORMS[name](coco)
    before = json.dumps(coco)
    assert check_coco(coco) != {}
    path, out = write(tmp_path, coco), tmp_path / "clean.json"
    assert run_in_process(capsys, "dataset", "check", path, "--fix", out)[0] == 0
    fixed = read_coco(out)
    assert list_values(fixed) == list_values(expected)
    assert check_coco(fixed) == {}
    assert len({each["id"] for each in fixed["annotations"]}) == len(expected["annotations"])
    assert all(type(each["id"]) is int for section in fixed.values() for each in section)
    assert json.dumps(coco) == before


def test_ids_that_are_words_lead_to_the_same_images():
    coco = make_file(make_people())
    for image in coco["images"]:
        image["id"] = f"frame-{image['id']}"
    for person in coco["annotations"]:
        person["image_id"] = f"frame-{person['image_id']}"
    fixed = fix_coco(coco)
    assert list_values(fixed.coco) == list_values(make_file(make_people()))
    for image in coco["images"]:
        del image["id"]  # the file is named in its place
    for person in coco["annotations"]:
        person["image_id"] = person["image_id"].replace("frame-", "") + ".png"
    assert list_values(fix_coco(coco).coco) == list_values(make_file(make_people()))


def test_ids_that_would_be_the_same_number_stay_different():
    coco = make_file(make_people()[:2])
    coco["images"] = [{**coco["images"][0], "id": "1"}, {**coco["images"][1], "id": "01"}]
    for person, image_id in zip(coco["annotations"], ("1", "01")):
        person["image_id"] = image_id
    fixed = fix_coco(coco).coco
    files = {image["id"]: image["file_name"] for image in fixed["images"]}
    assert [files[person["image_id"]] for person in fixed["annotations"]] == ["1.png", "2.png"]


@pytest.mark.parametrize("value", [True, "a1", "1.5", 2.5, math.nan, None, [1], "", "-1", "²"])
def test_what_is_no_whole_number_stays_none(value):
    assert read_whole(value) is None


def test_points_without_visibility_and_missing_points():
    coco = make_file(make_people())
    coco["annotations"][0]["keypoints"] = [[44, 65], [0, 0], [124, 257]]
    coco["annotations"][1]["keypoints"] = [[304, 155, 2], None, [414, 407, 1]]
    coco["annotations"][2]["keypoints"] = [484, 95, 510, 165, 534, 237]
    coco["annotations"][3]["keypoints"] = {"foot": {"x": 374, "y": 437}, "head": [204, 255, 2]}
    found = [person["keypoints"] for person in fix_coco(coco).coco["annotations"]]
    assert found[:4] == [
        [44, 65, 2, 0, 0, 0, 124, 257, 2],
        [304, 155, 2, 0, 0, 0, 414, 407, 1],
        [484, 95, 2, 510, 165, 2, 534, 237, 2],
        [204, 255, 2, 0, 0, 0, 374, 437, 2],
    ]


def test_one_keypoint_without_a_box_keeps_the_person():
    coco = make_file(make_people())
    coco["annotations"][0].update(bbox=None, keypoints=[100, 120, 2, 0, 0, 0, 0, 0, 0], num_keypoints=1)
    (x, y, width, height) = fix_coco(coco).coco["annotations"][0]["bbox"]
    assert x < 100 < x + width
    assert y < 120 < y + height


@pytest.mark.parametrize(
    "spoil",
    [
        change("annotations", image_id=lambda e, _: e["image_id"] + 500),
        change("annotations", keypoints=[1, 2]),
        change("images", file_name=None),
        lambda coco: coco.update(images=[]),
    ],
)
def test_an_empty_copy_fails(spoil, tmp_path, capsys):
    coco = make_file(make_people())
    spoil(coco)
    code, out, _ = run_in_process(capsys, "dataset", "check", write(tmp_path, coco), "--fix", tmp_path / "clean.json")
    assert code == 1
    assert "are left, too few for the copy to be of use" in out


def test_wrong_image_folder_is_reported_before_anything_is_written(tmp_path, capsys):
    path, out = write(tmp_path, make_file(make_people())), tmp_path / "clean.json"
    code, _, err = run_in_process(capsys, "dataset", "check", path, "--images", tmp_path, "--fix", out)
    assert code == 2
    assert "has none of the 3 images, such as 1.png" in err
    assert not out.exists()


@pytest.fixture
def images(tmp_path):
    for name in ("images/1.png", "images/2.PNG", "images/deep/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (640, 480)).save(tmp_path / name)
    return tmp_path / "images"


@pytest.mark.parametrize("prefix", ["", "images/", "/home/x/photos/", "C:\\data\\photos\\", "./"])
def test_files_that_are_elsewhere_in_the_folder_are_found(images, prefix, tmp_path, capsys):
    coco = make_file(make_people())
    for image in coco["images"]:
        image["file_name"] = prefix + image["file_name"]
    path, out = write(tmp_path, coco), tmp_path / "clean.json"
    assert run_in_process(capsys, "dataset", "check", path, "--images", images, "--fix", out)[0] == 0
    assert [image["file_name"] for image in read_coco(out)["images"]][1:] == ["2.PNG", "deep/3.png"]
    assert len(read_coco(out)["annotations"]) == 5


def test_files_that_may_be_several_are_not_guessed(images):
    (images / "other").mkdir()
    Image.new("RGB", (640, 480)).save(images / "other/3.png")
    assert find_moved_images(["3.png", "x/1.png"], images) == {"x/1.png": "1.png"}


def test_missing_sizes_come_from_the_images(images, tmp_path, capsys):
    coco = make_file(make_people())
    remove("images", "width")(coco)
    path, out = write(tmp_path, coco), tmp_path / "clean.json"
    assert run_in_process(capsys, "dataset", "check", path, "--fix", out)[0] == 1
    assert len(read_coco(out)["annotations"]) == 5  # no person is lost for it
    assert run_in_process(capsys, "dataset", "check", path, "--images", images, "--fix", out)[0] == 0
    assert [(image["width"], image["height"]) for image in read_coco(out)["images"]] == [(640, 480)] * 3


def test_labels_of_images_that_were_resized_later_move_with_them(images, tmp_path, capsys):
    coco = make_file(make_people())
    for image in coco["images"]:
        image.update(width=1280, height=960)
    for person in coco["annotations"]:
        person["bbox"] = [2 * value for value in person["bbox"]]
        person["keypoints"] = [
            value if place % 3 == 2 else 2 * value for place, value in enumerate(person["keypoints"])
        ]
        person["area"] *= 4
    path, out = write(tmp_path, coco), tmp_path / "clean.json"
    assert run_in_process(capsys, "dataset", "check", path, "--images", images, "--fix", out)[0] == 0
    names = {"1.png": "1.png", "2.png": "2.PNG", "3.png": "deep/3.png"}
    assert list_values(read_coco(out))[1] == [
        (names[each[0]], *each[1:]) for each in list_values(make_file(make_people()))[1]
    ]
