"""Runs that meet broken images, or diverge: what the user is told, and what is left to look at."""

import shutil
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.hooks import Hook

from rtmo_plugin.api import train
from rtmo_plugin.engine import training_loop
from rtmo_plugin.engine.hooks.divergence import DivergenceHook
from rtmo_plugin.errors import UserError


@pytest.fixture
def run(config, data_root, tmp_path, monkeypatch):
    """Return a function that trains the tiny model for one epoch in ``tmp_path / "run"``."""
    monkeypatch.setattr(training_loop, "CurvesHook", Hook)  # whose pictures take longer than the training

    def train_once(root=data_root, resume=None, **values):
        options = {"train_cfg.max_epochs": 1, **values}
        folder = tmp_path / "run"
        return train(
            config, work_dir=folder, data_root=root, resume=resume, validate=False, seed=0, cfg_options=options
        )

    return train_once


@pytest.fixture
def broken(data_root, tmp_path):
    """Return the data with one of four training images cut short."""
    root = shutil.copytree(data_root, tmp_path / "data")
    path = min((root / "coco/train2017").iterdir())
    path.write_bytes(b"\xff\xd8\xff\xe0 half")
    return root, path


def test_broken_image_is_skipped_and_named_and_the_first_batch_is_drawn(run, broken, tmp_path, capsys):
    root, path = broken
    result = run(root)
    assert result.checkpoint.name == "epoch_1.pth"
    out = capsys.readouterr().out
    (named,) = (line for line in out.splitlines() if "Skipped broken training sample 1: " in line)
    assert str(path) in named
    assert "Broken training samples skipped: 1; each is named above." in out
    picture = cv2.imread(str(tmp_path / "run/first_batch.jpg"))
    assert picture.shape == (64, 2 * 64, 3)  # a batch of two
    colors = picture.max(axis=2).astype(int) - picture.min(axis=2)
    assert (colors > 60).sum() > 20  # limbs


def test_too_many_broken_images_are_one_sentence(run, broken):
    with pytest.raises(UserError, match=r"^Broken training samples: 1, and the limit is 0 .*train2017/"):
        run(broken[0], **{"custom_hooks.4.max_broken": 0})


def test_diverging_run_leaves_the_batch(run, data_root, tmp_path):
    with pytest.raises(FloatingPointError) as error:
        run(**{"optim_wrapper.optimizer.lr": 1e9, "custom_hooks": []})
    folder = tmp_path / "run/diverged"
    batch = torch.load(folder / "batch.pth", weights_only=True)
    assert (batch["iteration"], batch["epoch"]) == (2, 1)
    assert all(Path(path).parent == data_root / "coco/train2017" for path in batch["images"])
    message = str(error.value)
    assert message.startswith("at iteration 2 (epoch 1): loss_")
    assert f"is not finite for the batch of {', '.join(batch['images'])}: lower the learning rate" in message
    assert message.endswith(f" The batch is in {folder}. No checkpoint was written.")
    assert batch["inputs"][0].shape == (3, 64, 64)
    assert {"keypoints", "bboxes"} <= batch["targets"][0].keys()
    assert cv2.imread(str(folder / "batch.jpg")).shape == (64, 64 * len(batch["images"]), 3)


def test_weights_that_are_not_finite_are_not_saved():
    good, bad = ({"state_dict": {"weight": torch.tensor([value])}} for value in (1.0, float("nan")))
    DivergenceHook().before_save_checkpoint(None, good)
    with pytest.raises(FloatingPointError, match="weight is not finite, so this checkpoint was not written"):
        DivergenceHook().before_save_checkpoint(None, bad)


def test_checkpoint_that_is_not_written_whole_replaces_nothing(run, tmp_path, monkeypatch):
    path = run().checkpoint
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        run(resume=True, **{"train_cfg.max_epochs": 2})
    assert path.read_bytes() == before
    assert not path.with_name("epoch_2.pth").exists()


def fail(_):
    raise OSError("no space left on device")
