"""Ground truth and predictions for the tests of metrics, and MMPose's metric as the oracle."""

import contextlib
import io
import json
from collections import defaultdict

import numpy as np
from mmengine.logging import MMLogger

from rtmo_plugin.keypoints.sets import COCO, CROWDPOSE

COCO_SIGMAS = np.array(COCO.sigmas, np.float32)  # as MMPose's metainfo has them
CROWD_SIGMAS = np.array(CROWDPOSE.sigmas, np.float32)


def make_meta(sigmas, content):
    """Return the metainfo of a data set without a file of its own."""
    return {
        "dataset_name": "test",
        "num_keypoints": len(sigmas),
        "sigmas": np.asarray(sigmas),
        "CLASSES": content["categories"],
    }


def predict(content, seed, *, num_keypoints, dtype=np.float32, with_boxes=True, max_detections=30):
    """Return samples as a bottom-up model would: found people moved by some pixels, and every kind of trouble.

    People are missing, doubled and invented; scores are tied; crowds are answered with many detections;
    some images have none, and some more than 20.
    """
    random = np.random.default_rng(seed)
    people = defaultdict(list)
    for each in content["annotations"]:
        people[each["image_id"]].append(each)
    samples = []
    for image in content["images"]:
        of_image = people[image["id"]]
        found = [] if random.random() < 0.05 else [_answer(each, random) for each in of_image]
        found = [pose for poses in found for pose in poses]
        for _ in range(random.choice([0, 0, 1, 3, max_detections])):
            found.append(random.uniform(0, 1, (num_keypoints, 2)) * random.uniform(20, 400) + random.uniform(0, 300, 2))
        samples.append(_make_sample(image, of_image, found, num_keypoints, random, dtype, with_boxes))
    return samples


def _answer(person, random):
    """Return the detections of one person: none, one or two; for somebody without keypoints, within the box."""
    points = np.array(person["keypoints"], float).reshape(-1, 3)
    x, y, width, height = person["bbox"]
    if not (points[:, 2] > 0).any():
        points[:, :2] = random.uniform((x, y), (x + width, y + height), (len(points), 2))
    poses = []
    for _ in range(random.choice([0, 1, 1, 1, 2]) if not person.get("iscrowd") else 4):
        size = np.sqrt(width * height)
        noise = random.normal(0, 1, (len(points), 2)) * size * random.choice([0, 0.01, 0.03, 0.1])
        poses.append(points[:, :2] + noise)
    return poses


def _make_sample(image, of_image, found, num_keypoints, random, dtype, with_boxes):
    keypoints = np.array(found).reshape(len(found), num_keypoints, 2).astype(dtype)
    scores = random.choice([0.1, 0.25, 0.5, 0.9, random.random()], len(found)).astype(dtype)
    keypoint_scores = random.choice([0.0, 0.2, 0.5, random.random()], (len(found), num_keypoints)).astype(dtype)
    keypoint_scores[: len(found) // 10] = 0  # nobody, by the rule of the COCO tools
    instances = {"keypoints": keypoints, "keypoint_scores": keypoint_scores, "bbox_scores": scores}
    if with_boxes and len(found):
        instances["bboxes"] = np.concatenate([keypoints.min(1), keypoints.max(1)], 1)
    elif with_boxes:
        instances["bboxes"] = np.zeros((0, 4), dtype)
    return {
        "id": [each["id"] for each in of_image],
        "img_id": image["id"],
        "ori_shape": (image.get("height", 480), image.get("width", 640)),
        "crowd_index": image.get("crowdIndex", 0.0),
        "raw_ann_info": [dict(each) for each in of_image],
        "pred_instances": instances,
        "gt_instances": {},
    }


def evaluate(metric, samples, meta, batch_size=16):
    """Return the metrics of samples that come in batches."""
    metric.dataset_meta = dict(meta)
    for start in range(0, len(samples), batch_size):
        metric.process(None, [dict(sample) for sample in samples[start : start + batch_size]])
    return metric.evaluate(len(samples))


def evaluate_with_mmpose(samples, meta, **options):
    """Return what MMPose's CocoMetric says, without what it prints."""
    from mmpose.evaluation.metrics import CocoMetric

    MMLogger.get_current_instance().setLevel("ERROR")
    with contextlib.redirect_stdout(io.StringIO()):
        return evaluate(CocoMetric(**options), samples, meta)


def write_annotations(content, folder, name="truth.json"):
    """Write an annotation file, and return its path."""
    path = folder / name
    path.write_text(json.dumps(content))
    return str(path)
