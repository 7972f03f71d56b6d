"""Label files of the tests of checks: people with three keypoints in images of 640 x 480."""

import json

NAMES = ["head", "hip", "foot"]
SIZE = (640, 480)
BOXES = [(40, 60, 90, 200), (300, 150, 120, 260), (480, 90, 60, 150), (200, 250, 180, 190), (410, 300, 200, 140)]


def make_people(**changes):
    """Return a person for each box, with keypoints in its corners and its middle, and an area of half of it."""
    people = []
    for number, (x, y, width, height) in enumerate(BOXES, start=1):
        keypoints = [x + 4, y + 5, 2, x + width // 2, y + height // 2, 1, x + width - 6, y + height - 3, 2]
        person = {
            "id": number, "image_id": 1 + number % 3, "category_id": 1, "bbox": [x, y, width, height],
            "area": 0.5 * width * height, "iscrowd": 0, "num_keypoints": 3, "keypoints": keypoints,
        }  # fmt: skip
        people.append({**person, **changes})
    return people


def make_file(people, **changes):
    """Return a COCO file of three images with these people."""
    images = [{"id": i, "file_name": f"{i}.png", "width": SIZE[0], "height": SIZE[1]} for i in (1, 2, 3)]
    categories = [{"id": 1, "name": "thing", "keypoints": list(NAMES), "skeleton": [[1, 2], [2, 3]]}]
    return {"images": images, "annotations": people, "categories": categories, **changes}


def write(folder, coco, name="people.json"):
    """Write a file, and return its path."""
    path = folder / name
    path.write_text(json.dumps(coco))
    return path
