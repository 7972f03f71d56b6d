"""Training says how many people it has, draws boxes where they have no area, and refuses data without people."""

import json

import cv2
import numpy as np
import pytest

from rtmo_plugin.api import train
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.errors import DataError
from tests.faults.test_11_keypoints_by_name import IMAGES, list_people, write_file
from tests.tiny_runs import make_tiny

POINT = {"id": 1, "name": "ball", "keypoints": ["center"], "skeleton": []}


def make_point(index, x=48.0, y=40.0, visible=2, box=None):
    return {
        "id": index, "image_id": IMAGES[index % 3]["id"], "category_id": 1, "iscrowd": 0, "area": 0.0,
        "bbox": box or [x, y, 0.0, 0.0], "num_keypoints": int(visible > 0), "keypoints": [x, y, visible],
    }  # fmt: skip


@pytest.fixture
def root(tmp_path):
    (tmp_path / "images").mkdir()
    for image in IMAGES:
        cv2.imwrite(str(tmp_path / "images" / image["file_name"]), np.full((80, 96, 3), 90, np.uint8))
    return tmp_path


def write_points(root, people):
    for name in ("train.json", "val.json"):
        write_file(root / name, categories=[POINT], annotations=people)


def run(root, epochs=1, recipe="rtmo-t_custom", **options):
    cfg = make_tiny(recipe)
    cfg.train_cfg.max_epochs = cfg.train_cfg.val_interval = epochs
    cfg.default_hooks.logger = {"type": "LoggerHook", "interval": 1}
    return train(cfg, data_root=root, work_dir=root / "run", from_scratch=True, seed=0, **options)


def read_losses(result):
    lines = (result.log_dir / "vis_data" / "scalars.json").read_text().splitlines()
    return [entry for entry in map(json.loads, lines) if "loss" in entry]


def test_single_points_are_learned_and_evaluated(root, capsys):
    write_points(root, [make_point(index) for index in range(6)])
    result = run(root)
    assert "training on 6 people in 3 images\n" in capsys.readouterr().out
    losses = read_losses(result)
    assert losses
    assert all(entry[name] > 0 for entry in losses for name in ("loss_bbox", "loss_oks", "loss_mle"))
    assert 0 <= result.metrics["coco/AP"] <= 1  # -1 without people in the ground truth


def test_a_line_of_keypoints_has_a_box(root, capsys):
    people = list_people()
    for person in people:
        person["keypoints"][1::3] = [40] * 4
        person.update(bbox=[10, 40, 50, 0], area=0)
    for name in ("train.json", "val.json"):
        write_file(root / name, annotations=people)
    result = run(root)
    assert "training on 4 people in 3 images\n" in capsys.readouterr().out
    assert all(entry["loss_mle"] > 0 for entry in read_losses(result))


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ([make_point(i, visible=0, box=[9, 9, 30, 30]) for i in range(4)], "of 4 people, 4 without labeled keypoints"),
        ([], r"train\.json: its images have no people"),
    ],
)
def test_training_data_without_people_are_an_error(root, people, words):
    write_points(root, people)
    with pytest.raises(DataError, match=rf"People to train on are missing in .*{words}"):
        run(root)


@pytest.mark.parametrize("key", ["annotations", "images"])
def test_file_of_nothing_is_an_error(root, key):
    write_points(root, [make_point(index) for index in range(6)])
    content = json.loads((root / "train.json").read_text())
    content.update({"annotations": [], key: []})
    (root / "train.json").write_text(json.dumps(content))
    cfg = load_config("rtmo-t_custom")  # whose records are packed, unlike those of small data sets in tests
    reason = "its images have no people" if key == "annotations" else "it lists no images"
    with pytest.raises(DataError, match=rf"People to train on are missing in .*train\.json: {reason}"):
        train(cfg, data_root=root, work_dir=root / "run", from_scratch=True)


def test_crowds_are_no_people_to_find(root):
    write_points(root, [make_point(index) for index in range(6)])
    crowd = {**make_point(1, box=[9, 9, 30, 30]), "iscrowd": 1}
    write_file(root / "val.json", categories=[POINT], annotations=[crowd])
    with pytest.raises(
        DataError, match=r"People to validate on are missing in .*val\.json, where AP has no value: of 1 per"
    ):
        run(root)


def test_few_of_many_is_a_warning(root, capsys):
    write_points(root, [make_point(i) for i in range(2)] + [make_point(i, visible=0) for i in range(2, 6)])
    run(root, validate=False)
    out = capsys.readouterr().out
    assert "training on 2 people in 2 images (left out: 4 without labeled keypoints)" in out
    assert "warning: fewer than half of the 6 people in " in out


def test_half_is_not(root, capsys):
    write_points(root, [make_point(i) for i in range(2)] + [make_point(i, visible=0) for i in range(2, 4)])
    run(root, validate=False)
    assert "fewer than half" not in capsys.readouterr().out


def test_validation_without_people_is_refused(root, capsys):
    write_points(root, [make_point(index) for index in range(6)])
    write_file(root / "val.json", categories=[POINT], annotations=[make_point(1, visible=0, box=[9, 9, 30, 30])])
    with pytest.raises(DataError, match="1 without labeled keypoints; label some, or train with --no-validate"):
        run(root)
    assert not (root / "run" / "epoch_1.pth").exists()
    run(root, validate=False)
    assert "validating on" not in capsys.readouterr().out


def test_mmposes_data_sets_are_counted_as_well(config, data_root, tmp_path, capsys):
    name = "coco/annotations/person_keypoints_train2017.json"
    content = json.loads((data_root / name).read_text())
    for person in content["annotations"]:
        person["bbox"][2] = 0
    other = tmp_path / "flat.json"
    other.write_text(json.dumps(content))
    options = {"train_dataloader.dataset.ann_file": str(other)}
    count = len(content["annotations"])
    with pytest.raises(
        DataError, match=rf"People to train on are missing in .*flat\.json: .*{count} with boxes of no area"
    ):
        train(config, data_root=data_root, work_dir=tmp_path / "run", cfg_options=options)
