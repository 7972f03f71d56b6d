"""Every kind of bad data: found with its words, fixed as the table says, and nothing else touched."""

import copy
import json
import math
import re

import pytest

from rtmo_plugin.labels import KINDS, check_coco, fix_coco
from tests.labels.conftest import NAMES, make_category, make_person, make_set

NAN, INFINITE = math.nan, math.inf


def change(section, place, **values):
    """Return a change of one entry; an ellipsis takes the value away."""

    def apply(coco):
        entry = coco[section][place]
        entry.update(values)
        for key in [key for key, value in values.items() if value is ...]:
            del entry[key]

    return apply


def spoil_person(**values):
    return change("annotations", 0, **values)


def spoil_category(**values):
    return change("categories", 0, **values)


def rename(*names):
    """Return a change of the last keypoint names of all categories."""

    def apply(coco):
        for category in coco["categories"]:
            category["keypoints"] = ["head", "tail", "back", *names]

    return apply


def add(section, entry):
    return lambda coco: coco[section].append(entry)


def with_keypoint(index, *triple):
    keypoints = make_person(1, 1)["keypoints"]
    keypoints[3 * index : 3 * index + 3] = triple
    return keypoints


# kind, how it comes about, words of the example, entries after the fix (images, annotations, categories)
CASES = [
    ("category-broken", add("categories", {"name": "?"}), "categories[2]: {'name': '?'}", (3, 3, 3)),
    ("category-repeated", add("categories", make_category(7, "walker")), "category 7: categories[2], of 2", (3, 3, 2)),
    ("category-conflict", add("categories", make_category(7, "other")), "category 7: categories[2], of 2", (3, 3, 3)),
    ("category-keypoints", spoil_category(keypoints=...), "keypoints is None, not a list", (3, 3, 2)),
    ("category-keypoints", spoil_category(keypoints=["a", "a"]), "'a' is there more than once", (3, 3, 2)),
    ("category-keypoints", spoil_category(keypoints=["a", 3]), "3 is not a name", (3, 3, 2)),
    ("category-flip", spoil_category(flip_pairs=[["head", "tail"]]), "flip pair ['head', 'tail']", (3, 3, 2)),
    ("category-flip", spoil_category(flip_pairs=[[1, 1]]), "flip pair [1, 1]", (3, 3, 2)),
    ("category-flip", spoil_category(flip_pairs=[[1, 2], [2, 3]]), "name left_hand 2 times", (3, 3, 2)),
    ("category-flip", spoil_category(flip_pairs="left"), "flip_pairs is 'left', not a list", (3, 3, 2)),
    ("category-sides", rename("handL", "footR"), "handL has no partner handR", (3, 3, 2)),
    ("category-skeleton", spoil_category(skeleton=[[0, 1], [1, 2]]), "bone [0, 1], with keypoints", (3, 3, 2)),
    ("category-skeleton", spoil_category(skeleton=[[2, 2]]), "bone [2, 2], with keypoints", (3, 3, 2)),
    ("category-skeleton", spoil_category(skeleton=[[1, 6]]), "bone [1, 6], with keypoints 1 to 5", (3, 3, 2)),
    ("category-skeleton", spoil_category(skeleton=7), "skeleton is 7, not a list of pairs", (3, 3, 2)),
    ("category-differs", add("categories", {"id": 1, "name": "x", "keypoints": ["a"]}), "1 keypoints ", (3, 3, 3)),
    ("image-broken", add("images", "text"), "images[3]: a str, not an object", (3, 3, 2)),
    ("image-broken", add("images", {"id": "9"}), "images[3]: id is '9'", (3, 3, 2)),
    ("image-broken", add("images", {"id": 9}), "images[3]: file_name is None", (3, 3, 2)),
    ("image-broken", change("images", 2, width=0, height=NAN), "width is 0, height is nan", (2, 3, 2)),
    ("image-repeated", add("images", make_set()["images"][0]), "image 100: images[3], of 2 with this id", (3, 3, 2)),
    ("image-conflict", change("images", 2, id=100), "image 100: images[0], of 2 with this id", (1, 1, 2)),
    ("annotation-broken", add("annotations", [1]), "annotations[3]: a list", (3, 3, 2)),
    ("annotation-broken", add("annotations", make_person(2.5, 300)), "annotations[3]: id is 2.5", (3, 4, 2)),
    ("annotation-repeated", add("annotations", make_person(1, 100)), "annotation 1: annotations[3], of 2", (3, 3, 2)),
    ("annotation-conflict", add("annotations", make_person(1, 300)), "annotation 1: annotations[3], of 2", (3, 4, 2)),
    ("unknown-image", add("annotations", make_person(4, 555)), "annotation 4 (image 555): image_id is 555", (3, 3, 2)),
    ("unknown-image", add("annotations", make_person(4, [1])), "image_id is [1]", (3, 3, 2)),
    ("unknown-category", add("annotations", make_person(4, 100, 8)), "category_id is 8", (3, 3, 2)),
    ("keypoint-count", spoil_person(keypoints=[1, 2, 2]), "3 numbers for 5 keypoints, which need", (3, 2, 2)),
    ("annotation-form", spoil_person(keypoints=...), "keypoints is None", (3, 3, 2)),
    ("annotation-copy", add("annotations", make_person(4, 100)), "annotation 1 has this box and keypoints", (3, 3, 2)),
    ("unlabeled-file", lambda coco: coco["annotations"].clear(), "0 annotations of 3 images", (3, 0, 2)),
    ("keypoint-number", spoil_person(keypoints=with_keypoint(2, 9, NAN, 2)), "right_hand has nan", (3, 3, 2)),
    ("keypoint-number", spoil_person(keypoints=with_keypoint(0, -INFINITE, 9, 2)), "head has -inf", (3, 3, 2)),
    ("keypoint-number", spoil_person(keypoints=with_keypoint(0, "9", None, 2)), "has '9', and 1 more", (3, 3, 2)),
    ("keypoint-number", spoil_person(keypoints=with_keypoint(0, 10**400, 0.5, 2)), "head has 1000", (3, 3, 2)),
    ("keypoint-visibility", spoil_person(keypoints=with_keypoint(0, 9, 9, 3)), "head has 3", (3, 3, 2)),
    ("keypoint-outside", spoil_person(keypoints=with_keypoint(0, 65, 9, 1)), "head at (65, 9) in 64 x", (3, 3, 2)),
    ("keypoint-outside", spoil_person(keypoints=with_keypoint(0, 6, -0.5, 1)), "head at (6, -0.5)", (3, 3, 2)),
    ("num-keypoints", spoil_person(num_keypoints=...), "num_keypoints is None, labeled are 4", (3, 3, 2)),
    ("num-keypoints", spoil_person(num_keypoints=0), "num_keypoints is 0, labeled are 4", (3, 3, 2)),
    ("num-keypoints", spoil_person(num_keypoints=5), "num_keypoints is 5, labeled are 4", (3, 3, 2)),
    ("box-number", spoil_person(bbox=...), "bbox is None", (3, 3, 2)),
    ("box-number", spoil_person(bbox=[1, 2, NAN, 4]), "bbox is [1, 2, nan, 4]", (3, 3, 2)),
    ("box-number", spoil_person(bbox=[], keypoints=[0] * 15, num_keypoints=0), "bbox is []", (3, 2, 2)),
    ("box-inverted", spoil_person(bbox=[42, 8, -24, 38]), "bbox is [42, 8, -24, 38]", (3, 3, 2)),
    ("box-empty", spoil_person(bbox=[18, 8, 0, 38]), "bbox is [18, 8, 0, 38]", (3, 3, 2)),
    ("box-outside", spoil_person(bbox=[64, 8, 9, 9]), "bbox is [64, 8, 9, 9] in 64 x 48", (3, 2, 2)),
    ("area", spoil_person(area=INFINITE), "area is inf", (3, 3, 2)),
    ("area", spoil_person(area=-1), "area is -1", (3, 3, 2)),
]  # fmt: skip


def count_entries(coco):
    return len(coco["images"]), len(coco["annotations"]), len(coco["categories"])


def test_clean_set_is_clean(coco):
    assert check_coco(coco) == {}
    assert fix_coco(coco).coco == coco


def test_every_kind_has_a_case():
    of_pictures = {"image-missing", "image-truncated", "image-size"}  # in test_pictures
    elsewhere = {  # in tests/faults
        "category-form", "category-name", "category-shift", "image-form", "image-unsized", "image-elsewhere",
        "image-turned", "image-file", "image-shift", "annotation-form", "area-size", "share-numbers",
        "box-convention", "visibility-share", "visibility-never-2", "visibility-none", "keypoint-origin",
        "keypoint-far",
    }  # fmt: skip
    assert {case[0] for case in CASES} | of_pictures | elsewhere == set(KINDS)


@pytest.mark.parametrize(("kind", "spoil", "words", "left"), CASES)
def test_bad_data_is_found_named_and_fixed(coco, kind, spoil, words, left):
    spoil(coco)
    before = copy.deepcopy(coco)
    problems = check_coco(coco)
    assert words in problems[kind][0].text
    fixed = fix_coco(coco)
    assert repr(coco) == repr(before)  # NaN is not equal to itself
    assert count_entries(fixed.coco) == left
    has_remedy = bool(KINDS[kind].remedy)
    assert (kind in fixed.changes) == has_remedy
    assert (kind in fixed.remaining) == (not has_remedy)
    assert all(not KINDS[other].remedy for other in check_coco(fixed.coco))
    again = fix_coco(fixed.coco)
    assert (again.coco, again.changes) == (fixed.coco, {})


def test_only_what_is_named_changes(coco):
    coco["annotations"][0]["keypoints"] = with_keypoint(0, 65, 9, 1)
    fixed = fix_coco(coco)
    assert fixed.changes == {"keypoint-outside": 1}
    assert fixed.coco["annotations"][0] == {
        **coco["annotations"][0],
        "keypoints": with_keypoint(0, 0, 0, 0),
        "num_keypoints": 3,
    }
    assert fixed.coco["annotations"][1:] == coco["annotations"][1:]


@pytest.mark.parametrize(
    ("values", "mended"),
    [
        ({"bbox": [42, 46, -24, -38]}, {"bbox": [18, 8, 24, 38]}),
        ({"bbox": [0, 0, 0, 0]}, {"bbox": [20, 10, 20, 34]}),
        ({"bbox": None, "area": NAN}, {"bbox": [20, 10, 20, 34], "area": 0.53 * 680}),
        ({"num_keypoints": 9}, {"num_keypoints": 4}),
        ({"keypoints": with_keypoint(3, 9, 9, -1)}, {"keypoints": with_keypoint(3, 9, 9, 0)}),
    ],
)
def test_mended_values(coco, values, mended):
    coco["annotations"][0].update(values)
    assert fix_coco(coco).coco["annotations"][0] == {**make_person(1, 100), **mended}


def test_new_ids_are_new(coco):
    coco["annotations"] += [make_person(1, 300), make_person(1, 300, bbox=[17, 8, 25, 38])]
    assert [person["id"] for person in fix_coco(coco).coco["annotations"]] == [1, 2, 3, 4, 5]


def test_several_faults_of_one_person_are_all_said_and_mended(coco):
    coco["annotations"][0].update(bbox=[1, 1, 0, 0], area=NAN, keypoints=with_keypoint(1, NAN, 0, 2), num_keypoints=0)
    assert set(check_coco(coco)) == {"keypoint-number", "box-empty", "area"}
    fixed = fix_coco(coco)
    assert fixed.remaining == {}
    assert fixed.coco["annotations"][0]["bbox"] == [30, 10, 10, 34]


def test_names_that_a_flip_cannot_exchange(coco):
    coco["categories"] = [{**make_category(7, "walker"), "keypoints": ["head", *NAMES[1:4], "tail"]}]
    coco["annotations"] = []
    (problem,) = check_coco(coco)["category-flip"]
    assert problem.text == "category 7 (walker): left_foot has no partner right_foot"


def test_crowdpose_counts_without_head_and_neck(coco):
    coco["annotations"][0]["num_keypoints"] = 2
    assert check_coco(coco) == {}


@pytest.mark.parametrize("name", ["train2017", "val2017", "val2017_538images"])
def test_real_coco_is_clean(data_dir, name):
    coco = json.loads((data_dir / f"coco/annotations/person_keypoints_{name}.json").read_text())
    assert check_coco(coco) == {}


def test_real_crowdpose_has_what_it_has(data_dir):
    coco = json.loads((data_dir / "crowdpose/annotations/mmpose_crowdpose_val.json").read_text())
    problems = check_coco(coco)
    # COCO's 17-keypoint skeleton over 14 names, and eight necks above the upper edge or beside the image.
    assert {kind: len(found) for kind, found in problems.items()} == {"category-skeleton": 1, "keypoint-outside": 8}
    fixed = fix_coco(coco)
    assert fixed.remaining == {}
    assert len(fixed.coco["annotations"]) == len(coco["annotations"])


def test_one_entry_is_not_many():
    for kind in KINDS.values():
        assert re.match(r"1 (different )?(annotation|image|category|file)\b", kind.describe(1)), kind.meaning
        assert kind.describe(2) == f"2 {kind.meaning}"
    assert KINDS["area-size"].describe(1) == "1 annotation whose area does not fit its box"
