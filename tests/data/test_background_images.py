"""Images without people are background: the custom recipes train on them, and their scores fall."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from rtmo_plugin.api import train
from rtmo_plugin.config.edits import prepare_config
from tests.faults.test_11_keypoints_by_name import IMAGES, list_people, write_file
from tests.tiny_runs import make_tiny


@pytest.fixture
def root(tmp_path):
    """Return a folder of three images: two with people, and one without an annotation."""
    (tmp_path / "images").mkdir()
    generator = np.random.default_rng(0)
    for image in IMAGES:
        pixels = generator.integers(0, 255, (80, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "images" / image["file_name"]), pixels)
    people = [each for each in list_people() if each["image_id"] != IMAGES[2]["id"]]
    write_file(tmp_path / "train.json", annotations=people)
    write_file(tmp_path / "val.json")
    return tmp_path


def edit_people(root, **changes):
    """Give the last image a person with some changes."""
    content = json.loads((root / "train.json").read_text())
    person = {**content["annotations"][0], "id": 99, "image_id": IMAGES[2]["id"], **changes}
    content["annotations"].append(person)
    (root / "train.json").write_text(json.dumps(content))


def run(root, recipe="rtmo-t_custom", **options):
    cfg = make_tiny(recipe)
    cfg.default_hooks.logger = {"type": "LoggerHook", "interval": 1}
    return train(cfg, data_root=root, work_dir=root / "run", from_scratch=True, seed=0, validate=False, **options)


@pytest.mark.parametrize("recipe", ["rtmo-t_custom", "rtmo-s_custom"])
def test_all_stages_train_on_them(root, capsys, recipe):
    result = run(root, recipe)
    assert " in 2 images, and on 1 image without people as background\n" in capsys.readouterr().out
    lines = (result.log_dir / "vis_data" / "scalars.json").read_text().splitlines()
    entries = [entry for entry in map(json.loads, lines) if "loss" in entry]
    assert {entry["epoch"] for entry in entries} == {1, 2, 3}
    assert all(np.isfinite(entry["loss"]) for entry in entries)
    assert "Skipped broken" not in next(result.log_dir.glob("*.log")).read_text()


def test_they_can_be_left_out(root, capsys):
    run(root, cfg_options={"train_dataloader.dataset.keep_background": False, "train_cfg.max_epochs": 1})
    assert " in 2 images; 1 image without people left out\n" in capsys.readouterr().out


def test_unlabelled_person_is_not_background(root, capsys):
    edit_people(root, keypoints=[0] * 12, num_keypoints=0)
    run(root, cfg_options={"train_cfg.max_epochs": 1})
    out = capsys.readouterr().out
    assert "(left out: 1 without labeled keypoints)\n" in out
    assert "background" not in out


def test_mostly_background_is_a_warning(root, capsys):
    content = json.loads((root / "train.json").read_text())
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] == IMAGES[0]["id"]]
    (root / "train.json").write_text(json.dumps(content))
    run(root, cfg_options={"train_cfg.max_epochs": 1})
    out = capsys.readouterr().out
    assert " in 1 image, and on 2 images without people as background\n" in out
    assert "warning: more images are without people than with some" in out


def load(root):
    init_default_scope("mmpose")
    return prepare_config(make_tiny("rtmo-t_custom"), data_root=root)


def test_batch_of_background_alone_lowers_the_scores(root):
    cfg = load(root)
    cfg.model.test_cfg.score_thr = 0.0
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    sample = dataset[2]
    assert len(sample["data_samples"].gt_instances) == 0
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    data = model.data_preprocessor(pseudo_collate([sample, sample]), training=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    found = []
    for _ in range(6):
        losses = model(**data, mode="loss")
        assert all(losses[name] == 0 for name in losses if name not in ("loss_cls", "loss_vis"))
        found.append(float(losses["loss_cls"].detach()))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        learned = [each for each in model.parameters() if each.requires_grad]
        assert all(each.grad is not None and each.grad.isfinite().all() for each in learned)
        optimizer.step()
    assert found[-1] < 0.9 * found[0]
