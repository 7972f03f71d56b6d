"""Training by a teacher: the student's checkpoint is as without one, and it learns what the teacher knows."""

import json

import pytest
import torch

from rtmo_plugin.api import train
from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.errors import ConfigError, MissingFileError
from tests.conftest import run_command
from tests.tiny_runs import make_tiny


def read_losses(result):
    """Return the last value of every loss of a training."""
    lines = [json.loads(line) for line in (result.log_dir / "vis_data/scalars.json").read_text().splitlines()]
    return [line for line in lines if "loss" in line][-1]


@pytest.fixture(scope="module")
def taught(config, data_root, trained, tmp_path_factory):
    """Return the result of the training of ``trained``, with the trained model as its teacher."""
    folder = tmp_path_factory.mktemp("taught")
    return train(config, work_dir=folder, data_root=data_root, seed=0, teacher=(config, trained.checkpoint))


def test_the_losses_of_the_teacher_are_logged(taught, trained):
    names = {f"loss_teacher_{name}" for name in ("coordinates", "scores", "boxes")}
    assert names <= set(read_losses(taught))
    assert not names & set(read_losses(trained))


def test_the_checkpoint_holds_the_student_alone(taught, trained):
    states = [read_checkpoint(each.checkpoint)["state_dict"] for each in (taught, trained)]
    assert list(states[0]) == list(states[1])
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_teacher_of_another_kind_is_refused_before_anything_is_written(config, data_root, trained, tmp_path):
    cfg = make_tiny("rtmo-t_coco")
    cfg.model.head.dcc = {**cfg.model.head.get("dcc", {}), "num_bins": (64, 64)}
    with pytest.raises(ConfigError, match=r"The model and the teacher .* differ in dcc\.num_bins"):
        train(cfg, work_dir=tmp_path / "run", data_root=data_root, teacher=(config, trained.checkpoint))
    assert not list(tmp_path.rglob("*.pth"))


def test_a_missing_teacher_is_one_sentence(config, data_root, tmp_path, capsys):
    with pytest.raises(MissingFileError, match=r"teacher\.pth"):
        train(config, work_dir=tmp_path, data_root=data_root, teacher=(config, tmp_path / "teacher.pth"))
    arguments = [config, "--data-root", data_root, "--work-dir", tmp_path]
    code, _, err = run_command(capsys, "train", *arguments, "--teacher", config, tmp_path / "teacher.pth")
    assert (code, "teacher.pth" in err, err.strip().count("\n")) == (2, True, 0)


def test_a_teacher_is_a_config_and_a_checkpoint(config):
    with pytest.raises(ConfigError, match=r"The teacher is a config and a checkpoint, got 'rtmo-l_coco'"):
        train(config, teacher="rtmo-l_coco")
