"""Recipes of large keypoint sets on files in their published form: trained, exported, evaluated."""

import json

import cv2
import numpy as np
import pytest
import torch

from rtmo_plugin.api import evaluate, export, train
from rtmo_plugin.data.synthetic.synthetic_people import SyntheticPeople
from rtmo_plugin.keypoints.installed_sets import read_installed_set
from rtmo_plugin.keypoints.whole_body import FIELDS
from tests.evaluation.test_whole_body import PARTS
from tests.export.conftest import build_tiny
from tests.tiny_runs import make_tiny

ANIMAL_NAMES = [
    "left_eye", "right_eye", "nose", "neck", "root_of_tail", "left_shoulder", "left_elbow", "left_front_paw",
    "right_shoulder", "right_elbow", "right_front_paw", "left_hip", "left_knee", "left_back_paw", "right_hip",
    "right_knee", "right_back_paw",
]  # fmt: skip
FILES = {
    "wholebody": ("coco/annotations/coco_wholebody_{}_v1.0.json", ("train", "val"), ("coco/train2017", "coco/val2017")),
    "halpe": (
        "halpe/annotations/halpe_{}_v1.json", ("train", "val"),
        ("pose/Halpe/hico_20160224_det/images/train2015", "coco/val2017"),
    ),
    "ap10k": ("ap10k/annotations/ap10k-{}-split1.json", ("train", "val", "test"), ("ap10k/data",) * 3),
    "ochuman": ("ochuman/annotations/ochuman_coco_format_{}_range_0.00_1.00.json", ("val",), ("ochuman/images",)),
}  # fmt: skip
FILES["halpe26"] = FILES["halpe"]


def make_people(num_keypoints, name, seed):
    """Return synthetic people as a published file of a set describes them, and their images by file name."""
    people = SyntheticPeople(num_images=2, seed=seed, size_wh=(96, 80), num_people=(1, 3))
    coco, random = people.to_coco(), np.random.default_rng(seed)
    for image in coco["images"]:
        image["file_name"] = f"{seed}_{image['file_name']}"
    for number, person in enumerate(coco["annotations"]):
        points = np.zeros((num_keypoints, 3))
        points[:17] = np.reshape(person["keypoints"], (17, 3))
        x, y, width, height = person["bbox"]
        points[17:, 0] = random.uniform(x, x + width, num_keypoints - 17)
        points[17:, 1] = random.uniform(y, y + height, num_keypoints - 17)
        points[17:, 2] = random.choice([0, 2], num_keypoints - 17)
        person.update(keypoints=points.ravel().tolist(), category_id=1 + number % 2 if name == "ap10k" else 1)
        if name == "wholebody":
            person.update({FIELDS[part]: points[chosen].ravel().tolist() for part, chosen in PARTS.items()})
            person.update({f"{part}_valid": True for part in PARTS if part != "body"}, segmentation=[])
    (category,) = coco["categories"]
    if name == "ap10k":
        coco["categories"] = [{"id": n, "name": s, "keypoints": ANIMAL_NAMES} for n, s in ((1, "antelope"), (2, "cow"))]
    elif name.startswith("halpe"):
        coco["categories"] = [{**category, "keypoints": [], "skeleton": []}]
    pictures = {new["file_name"]: people.draw(new["id"]) for new in coco["images"]}
    return coco, pictures


def write_published(root, name):
    """Write a set in its published layout below a folder."""
    pattern, splits, folders = FILES[name]
    num_keypoints = {"wholebody": 133, "halpe": 136, "halpe26": 136}.get(name, 17)
    for seed, (split, folder) in enumerate(zip(splits, folders)):
        coco, pictures = make_people(num_keypoints, name, seed)
        for place in (root / folder, (root / pattern).parent):
            place.mkdir(parents=True, exist_ok=True)
        (root / pattern.format(split)).write_text(json.dumps(coco))
        for file_name, pixels in pictures.items():
            cv2.imwrite(str(root / folder / file_name), pixels)


@pytest.fixture(scope="module")
def write_set(tmp_path_factory):
    """Return a function that writes a set in its published layout, and returns the folder."""

    def write(name):
        root = tmp_path_factory.mktemp(name)
        write_published(root, name)
        return root

    return write


@pytest.mark.parametrize(
    ("name", "num_keypoints"),
    [
        ("wholebody", 133),
        pytest.param("ap10k", 17, marks=pytest.mark.slow),
        pytest.param("halpe26", 26, marks=pytest.mark.slow),
        pytest.param("halpe", 136, marks=pytest.mark.slow),
    ],
)
def test_published_files_are_trained_on_exported_and_evaluated(write_set, tmp_path, name, num_keypoints):
    root, cfg = write_set(name), make_tiny(f"rtmo-s_{name}")
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    trained = train(cfg, work_dir=tmp_path / "run", data_root=root, seed=0)
    config, checkpoint = next((tmp_path / "run").glob("*.py")), tmp_path / "run/epoch_1.pth"
    assert trained.checkpoint == checkpoint
    found = evaluate(config, checkpoint)
    exported = tmp_path / "model.onnx"
    export(config, checkpoint, exported, cut="decoded")  # compares the file with the checkpoint
    from_file = evaluate(config, exported, data_root=root)
    prefix = {"wholebody": "coco-wholebody", "halpe26": "halpe"}.get(name, name)
    assert f"{prefix}/AP" in found
    assert list(from_file) == list(found)
    parts = {key.partition(" of ")[2] for key in found if " of " in key}
    assert parts == {"wholebody": set(PARTS), "ap10k": {"antelope", "cow"}}.get(name, set())
    assert from_file.people.comparison.truth.keypoints.shape[1] == num_keypoints


def test_animals_have_species_as_classes_and_the_sigmas_of_the_set(write_set, tmp_path):
    cfg = make_tiny("rtmo-s_ap10k")
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    train(cfg, work_dir=tmp_path, data_root=write_set("ap10k"), seed=0)
    written = next(tmp_path.glob("*.py")).read_text()
    known = read_installed_set("ap10k")
    assert "'antelope'" in written
    assert "root_of_tail" in written
    assert "num_classes=2" in written
    assert f"{known.sigmas[7]}" in written


def test_ochuman_evaluates_a_model_of_coco(write_set, tmp_path):
    cfg = make_tiny("rtmo-s_ochuman")
    root = write_set("ochuman")
    cfg.dump(tmp_path / "tiny.py")
    torch.save({"state_dict": build_tiny().state_dict()}, tmp_path / "tiny.pth")
    found = evaluate(tmp_path / "tiny.py", tmp_path / "tiny.pth", data_root=root)
    assert next(iter(found)) == "ochuman/AP"
