"""Labels of another convention are findings, are converted by ``--fix``, and are refused by training."""

import copy
import json

import pytest

from rtmo_plugin.errors import DataError
from rtmo_plugin.labels import check_coco, fix_coco, read_coco, read_dataset_keypoints
from rtmo_plugin.labels.categories import list_bones
from tests.faults.label_files import SIZE, make_file, make_people, write
from tests.labels.conftest import make_set
from tests.tools.test_tools import run_in_process

WIDTH, HEIGHT = SIZE


def set_box(make):
    return lambda person: {**person, "bbox": make(*person["bbox"])}


def set_points(make):
    def apply(person):
        keypoints = person["keypoints"]
        triples = [make(*keypoints[start : start + 3], person["bbox"]) for start in range(0, len(keypoints), 3)]
        return {**person, "keypoints": [value for triple in triples for value in triple]}

    return apply


def chain(*changes):
    def apply(person):
        for each in changes:
            person = each(person)
        return person

    return apply


CORNERS = set_box(lambda x, y, w, h: [x, y, x + w, y + h])
CENTER = set_box(lambda x, y, w, h: [x + w / 2, y + h / 2, w, h])
SHARES = set_box(lambda x, y, w, h: [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT])
POINT_SHARES = set_points(lambda x, y, v, _: (x / WIDTH, y / HEIGHT, v))
CONVENTIONS = {
    "corners": ("box-convention", CORNERS),
    "center": ("box-convention", CENTER),
    "y first": ("box-convention", set_box(lambda x, y, w, h: [y, x, h, w])),
    "corners, y first": ("box-convention", set_box(lambda x, y, w, h: [y, x, y + h, x + w])),
    "keypoints y first": ("box-convention", set_points(lambda x, y, v, _: (y, x, v))),
    "keypoints in their box": ("box-convention", set_points(lambda x, y, v, box: (x - box[0], y - box[1], v))),
    "shares": ("share-numbers", chain(POINT_SHARES, SHARES)),
    "shares of boxes": ("share-numbers", SHARES),
    "shares of keypoints": ("share-numbers", POINT_SHARES),
    "shares, center": ("share-numbers", chain(CENTER, POINT_SHARES, SHARES)),
    "shares, corners": ("share-numbers", chain(CORNERS, POINT_SHARES, SHARES)),
    "visible as 1": ("visibility-never-2", set_points(lambda x, y, v, _: (x, y, int(v > 0)))),
    "visible as a share": ("visibility-share", set_points(lambda x, y, v, _: (x, y, 0.93))),
}


def make_visible():
    """Return people whose keypoints are all visible, which conventions of visibility cannot lose."""
    return [set_points(lambda x, y, v, _: (x, y, 2))(person) for person in make_people()]


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions_are_found_converted_and_refused(name, tmp_path, capsys):
    kind, apply = CONVENTIONS[name]
    people = make_visible()
    coco = make_file([apply(person) for person in people])
    before = copy.deepcopy(coco)
    assert kind in check_coco(coco)
    path, out = write(tmp_path, coco), tmp_path / "clean.json"
    assert run_in_process(capsys, "dataset", "check", path)[0] == 1
    assert run_in_process(capsys, "dataset", "check", path, "--fix", out)[0] == 0
    fixed = read_coco(out)
    assert [person["bbox"] for person in fixed["annotations"]] == [pytest.approx(person["bbox"]) for person in people]
    assert [person["keypoints"] for person in fixed["annotations"]] == [
        pytest.approx(person["keypoints"]) for person in people
    ]
    assert check_coco(fixed) == {}
    assert coco == before
    if kind != "visibility-never-2":  # which training reads as it is meant
        with pytest.raises(DataError, match=rf"\[{kind}\]"):
            read_dataset_keypoints(path)


@pytest.mark.parametrize("name", [name for name, (kind, _) in CONVENTIONS.items() if not kind.startswith("vis")])
def test_one_person_is_enough(name):
    kind, apply = CONVENTIONS[name]
    person = make_visible()[4]  # right and below the middle, where corners leave the image
    assert kind in check_coco(make_file([apply(person)]))


def test_percent_is_found_in_many_people():
    people = [person for _ in range(3) for person in make_people()]
    scale_x, scale_y = 100 / WIDTH, 100 / HEIGHT
    points = set_points(lambda x, y, v, _: (x * scale_x, y * scale_y, v))
    boxes = set_box(lambda x, y, w, h: [x * scale_x, y * scale_y, w * scale_x, h * scale_y])
    people = [{**boxes(points(person)), "id": number} for number, person in enumerate(people, start=1)]
    assert "share-numbers" in check_coco(make_file(people))


def test_keypoints_far_outside_their_box(tmp_path):
    person = {**make_people()[0], "bbox": [10, 10, 20, 20], "area": 400}
    person["keypoints"] = [310, 210, 2, 400, 300, 2, 480, 340, 2]
    coco = make_file([person])
    assert "bbox is [10, 10, 20, 20], and a keypoint is at (310, 210)" in check_coco(coco)["keypoint-far"][0].text
    with pytest.raises(DataError, match="keypoint-far"):
        read_dataset_keypoints(write(tmp_path, coco))
    others = make_file([*make_people(), {**person, "id": 9}])
    assert len(check_coco(others)["keypoint-far"]) == 1
    (note,) = read_dataset_keypoints(write(tmp_path, others)).notes  # one of six does not stop training
    assert "1 annotation whose keypoints are far outside its box" in note


@pytest.mark.parametrize("name", ["1.png", "./1.png", "x/../1.png"])
def test_one_file_under_two_ids(tmp_path, name):
    coco = make_file(make_people())
    coco["images"][2]["file_name"] = name
    assert check_coco(coco)["image-file"][0].text == f"image 3 ({name}): image 1 has this file"
    assert "same file under several ids" in read_dataset_keypoints(write(tmp_path, coco)).notes[0]


def test_bones_from_zero(tmp_path, capsys):
    coco = make_file(make_people())
    coco["categories"][0]["skeleton"] = [[0, 1], [1, 2]]
    path, out = write(tmp_path, coco), tmp_path / "clean.json"
    code, printed, _ = run_in_process(capsys, "dataset", "check", path, "--fix", out)
    assert code == 0
    assert "bone [0, 1], with keypoints 1 to 3: the skeleton counts from 0" in printed
    assert read_coco(out)["categories"][0]["skeleton"] == [[1, 2], [2, 3]]
    task = read_dataset_keypoints(path)
    assert task.schema.skeleton == ((0, 1), (1, 2))
    assert task.notes == ("the skeleton has a 0, so that its bones are counted from 0",)
    assert list_bones([[0, 1], [2, 3]], 3) == [[2, 3]]  # a 0 and a K: counted from neither


@pytest.mark.parametrize("step", [1, -1])
def test_image_ids_that_count_from_another_number(tmp_path, step):
    people = [{**person, "image_id": person["image_id"] + step} for person in make_people()]
    coco = make_file(people)
    assert len(check_coco(coco)["image-shift"]) == 5
    fixed = fix_coco(coco)
    assert len(fixed.coco["annotations"]) == 5  # left to the user, and no person is dropped
    assert "image-shift" in fixed.remaining
    with pytest.raises(DataError, match="image-shift"):
        read_dataset_keypoints(write(tmp_path, coco))


@pytest.mark.parametrize("step", [1, -1])
def test_category_ids_that_count_from_another_number(step):
    coco = make_file([{**person, "category_id": person["id"] % 2 + 1 - step} for person in make_people()])
    coco["categories"].append({**coco["categories"][0], "id": 2, "name": "other"})
    assert len(check_coco(coco)["category-shift"]) == 5
    assert len(fix_coco(coco).coco["annotations"]) == 5


def test_categories_of_one_name():
    coco = make_file(make_people())
    coco["categories"].append({**coco["categories"][0], "id": 2})
    assert set(check_coco(coco)) == {"category-name"}


def test_sizes_with_width_and_height_exchanged():
    coco = make_file(make_people())
    for image in coco["images"]:
        image.update(width=HEIGHT, height=WIDTH)
    assert "image-turned" in check_coco(coco)
    fixed = fix_coco(coco)
    assert fixed.coco["annotations"] == coco["annotations"]
    assert fixed.remaining == {}


def test_a_label_beyond_the_border_turns_no_image():
    people = make_people()
    people[0]["keypoints"][6:9] = [WIDTH + 9, 250, 2]
    assert "image-turned" not in check_coco(make_file(people))


def test_orphans_are_not_a_shift():
    people = [*make_people(), {**make_people()[0], "id": 9, "image_id": 4}]
    assert "image-shift" not in check_coco(make_file(people))


def test_keypoints_labeled_at_the_corner_of_the_image():
    people = make_people()
    people[1]["keypoints"][3:6] = [0, 0, 2]
    coco = make_file(people)
    assert "keypoint-origin" in check_coco(coco)
    assert fix_coco(coco).coco["annotations"][1]["keypoints"][3:6] == [0, 0, 0]
    at_corner = {**people[0], "bbox": [0, 0, 300, 300], "area": 45000, "keypoints": [0, 0, 2, 299, 0, 2, 299, 299, 2]}
    assert check_coco(make_file([at_corner])) == {}


def test_coordinates_that_are_labeled_nowhere():
    people = [set_points(lambda x, y, v, _: (x, y, 0))({**person, "num_keypoints": 0}) for person in make_people()]
    assert set(check_coco(make_file(people))) == {"visibility-none"}


def test_files_in_order_have_no_finding(data_dir):
    assert check_coco(make_file(make_people())) == {}
    assert check_coco(make_set()) == {}
    for name in ("train2017", "val2017", "val2017_538images"):
        coco = json.loads((data_dir / f"coco/annotations/person_keypoints_{name}.json").read_text())
        assert check_coco(coco) == {}
