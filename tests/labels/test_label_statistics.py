"""Statistics of a COCO file with known people."""

import shutil

from rtmo_plugin.labels.label_statistics import measure_labels
from tests.labels.conftest import make_person, make_set


def make_many():
    """Return twelve people, of whom all have a left hand and none a right hand or a hidden keypoint."""
    coco = make_set()
    places = [(image["id"], 2 * step) for image in coco["images"][:2] for step in range(6)]
    coco["annotations"] = [
        make_person(number, image_id, keypoints=[30, step, 2, 20, step, 2, *[0] * 9], bbox=[18, step, 4, 4 + 4 * step])
        for number, (image_id, step) in enumerate(places, start=1)
    ]
    return coco


def test_counts(coco):
    found = measure_labels(coco)
    assert (found.num_images, found.num_backgrounds, found.num_people, found.num_labeled) == (3, 1, 3, 3)
    assert found.classes == {"walker": (2, 2), "dancer": (1, 1)}
    assert {name: number for name, number in found.sizes.items() if number} == {"16 to 32": 3}  # 24 x 38
    assert list(found.crowds.items())[:4] == [("0", 1), ("1", 1), ("2", 1), ("3 to 5", 0)]
    head, _, right_hand, left_foot, _ = found.keypoints
    assert (head.num_visible, head.num_hidden, head.share) == (3, 0, 1)
    assert (right_hand.name, right_hand.num_hidden, left_foot.num_labeled) == ("right_hand", 3, 0)
    assert found.sides == [("left_hand", "right_hand", 3, 3), ("left_foot", "right_foot", 0, 3)]


def test_findings():
    sentences = list(measure_labels(make_many()).list_findings())
    assert "The class dancer has 0 people: too few to learn it." in sentences
    assert "The keypoint right_hand is never labeled." in sentences
    assert "left_hand is labeled 12 times and right_hand 0 times." in sentences
    assert any(sentence.startswith("No keypoint is labeled as hidden") for sentence in sentences)


def test_duplicates(coco, pictures):
    shutil.copy(pictures / "1.jpg", pictures / "3.jpg")
    found = measure_labels(coco, pictures)
    assert found.same_files == [["1.jpg", "3.jpg"]]
    assert found.same_people == [(1, 2)]  # of two classes
    sentences = list(found.list_findings())
    assert "The same file 2 times: 1.jpg, 3.jpg." in sentences
    assert "1 pair of people with nearly the same keypoints, such as the annotations 1 and 2." in sentences


def test_broken_entries_are_left_out(coco):
    coco["annotations"] += [None, {"id": 7}, make_person(8, 100, keypoints=[1, 2]), make_person(9, 999)]
    assert measure_labels(coco).num_people == 3
