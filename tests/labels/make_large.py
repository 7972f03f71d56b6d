"""Write a COCO keypoint file of COCO's own size: python tests/labels/make_large.py FILE.

118,000 images, 262,000 people of 17 keypoints, outlines, addresses: what train2017 has, without pictures.
"""

import argparse
import json
import random
from pathlib import Path

PARTS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ["nose", *(f"{side}_{part}" for part in PARTS for side in ("left", "right"))]


def make_image(index: int) -> dict:
    name = f"{index:012d}.jpg"
    return {
        "license": 1 + index % 8, "file_name": name, "height": 480, "width": 640, "id": index,
        "coco_url": f"http://images.example.org/train2017/{name}", "date_captured": "2013-11-14 16:28:13",
        "flickr_url": f"http://farm1.example.com/{index % 10000}/{index:010d}_z.jpg",
    }  # fmt: skip


def make_person(index: int, num_images: int, draw: random.Random) -> dict:
    x, y = round(draw.uniform(0, 400), 2), round(draw.uniform(0, 200), 2)
    width, height = round(draw.uniform(20, 200), 2), round(draw.uniform(40, 250), 2)
    keypoints = []
    for _ in NAMES:
        v = draw.choice((0, 1, 2, 2))
        keypoints += [int(x + draw.random() * width), int(y + draw.random() * height), v] if v else [0, 0, 0]
    outline = [round(draw.uniform(0, 400), 2) for _ in range(2 * draw.randint(10, 50))]
    return {
        "segmentation": [outline], "num_keypoints": 17 - keypoints[2::3].count(0), "area": round(width * height / 2, 4),
        "iscrowd": 0, "keypoints": keypoints, "image_id": draw.randrange(num_images), "bbox": [x, y, width, height],
        "category_id": 1, "id": index,
    }  # fmt: skip


def make_coco(num_images: int, num_people: int, seed: int = 0) -> dict:
    draw = random.Random(seed)
    category = {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": NAMES,
        "skeleton": [[16, 14], [14, 12]],
    }
    return {
        "info": {"description": "random numbers in the shape of COCO"},
        "licenses": [{"id": i, "name": f"license {i}"} for i in range(1, 9)],
        "images": [make_image(index) for index in range(num_images)],
        "annotations": [make_person(index, num_images, draw) for index in range(num_people)],
        "categories": [category],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a COCO keypoint file of COCO's own size.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--num-images", type=int, default=118_000)
    parser.add_argument("--num-people", type=int, default=262_000)
    arguments = parser.parse_args()
    arguments.file.write_text(json.dumps(make_coco(arguments.num_images, arguments.num_people)))


if __name__ == "__main__":
    main()
