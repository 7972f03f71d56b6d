"""A small clean set: five keypoints, two classes with ids far apart, and pictures of it."""

import copy

import cv2
import numpy as np
import pytest

NAMES = ["head", "left_hand", "right_hand", "left_foot", "right_foot"]
SKELETON = [[1, 2], [1, 3], [1, 4], [1, 5]]


def make_category(category_id, name):
    return {"id": category_id, "name": name, "keypoints": list(NAMES), "skeleton": copy.deepcopy(SKELETON)}


def make_person(person_id, image_id, category_id=7, **changes):
    keypoints = [30, 10, 2, 20, 20, 2, 40, 20, 1, 0, 0, 0, 38, 44, 2]
    person = {
        "id": person_id, "image_id": image_id, "category_id": category_id, "keypoints": keypoints,
        "num_keypoints": 4, "bbox": [18, 8, 24, 38], "area": 700.5, "iscrowd": 0,
    }  # fmt: skip
    return {**person, **changes}


def make_set():
    sizes = ((64, 48), (48, 64), (80, 60))
    images = [
        {"id": 100 * i, "file_name": f"{i}.jpg", "width": w, "height": h} for i, (w, h) in enumerate(sizes, start=1)
    ]
    return {
        "images": images,
        "annotations": [make_person(1, 100), make_person(2, 100, 900_000), make_person(3, 200)],
        "categories": [make_category(7, "walker"), make_category(900_000, "dancer")],
    }


@pytest.fixture
def coco():
    return make_set()


@pytest.fixture
def pictures(tmp_path):
    """Return a folder with the pictures of the set."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for image in make_set()["images"]:
        pixels = np.random.default_rng(0).integers(0, 255, (image["height"], image["width"], 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / image["file_name"]), pixels)
    return folder
