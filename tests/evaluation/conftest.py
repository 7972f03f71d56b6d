"""Annotations that the tests of metrics share."""

import json

import pytest


@pytest.fixture(scope="session")
def read_truth(data_dir):
    """Return a function that reads the first images of one of the real annotation files, and the file's path."""

    def read(name, num_images=None):
        path = data_dir / name
        if not path.is_file():
            pytest.skip(f"no annotations at {path}")
        truth = json.loads(path.read_text())
        images = truth["images"][:num_images]
        chosen = {image["id"] for image in images}
        people = [person for person in truth["annotations"] if person["image_id"] in chosen]
        return {**truth, "images": images, "annotations": people}, str(path)

    return read


@pytest.fixture
def small_truth():
    """Return the content of an annotation file that one can count: two people and a crowd on three images."""
    person = {"category_id": 1, "iscrowd": 0, "area": 5000.0, "num_keypoints": 3}
    return {
        "images": [{"id": index, "width": 640, "height": 480, "crowdIndex": index / 4} for index in (1, 2, 3)],
        "annotations": [
            {
                **person,
                "id": 1,
                "image_id": 1,
                "bbox": [10, 10, 100, 80],
                "keypoints": [20, 20, 2, 60, 50, 2, 90, 80, 1],
            },
            {**person, "id": 2, "image_id": 2, "bbox": [0, 0, 90, 90], "keypoints": [5, 5, 2, 0, 0, 0, 70, 30, 2]},
            {
                **person,
                **{"id": 3, "image_id": 2, "iscrowd": 1, "num_keypoints": 0},
                **{"bbox": [300, 300, 90, 90], "keypoints": [0] * 9},
            },
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
