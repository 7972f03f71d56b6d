"""Checkpoints in safetensors files: same weights, and nothing that a file says is executed or believed."""

import json
import os
import struct
import sys

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import save_file

from rtmo_plugin.checkpoints.reading import check_resumable, read_checkpoint
from rtmo_plugin.checkpoints.safetensors_files import ModelNotes, write_safetensors
from rtmo_plugin.config.embedded import format_config, read_embedded_config
from rtmo_plugin.errors import CheckpointError, MissingPackageError
from rtmo_plugin.keypoints.metainfo import read_keypoint_set
from rtmo_plugin.keypoints.sets import COCO
from tests.conftest import run_command
from tests.oracle import OUR_CONFIGS

WEIGHTS = {"backbone.weight": torch.arange(6.0).reshape(2, 3).T, "backbone.steps": torch.tensor(3)}
CONFIG = "model = {'type': 'BottomupPoseEstimator'}\n"


def test_weights_config_keypoints_and_classes_come_back(tmp_path):
    path = write_safetensors(tmp_path / "a.safetensors", WEIGHTS, ModelNotes(CONFIG, COCO, ("person",)))
    content = read_checkpoint(path)
    assert content["state_dict"].keys() == WEIGHTS.keys()
    assert all(torch.equal(content["state_dict"][name], value) for name, value in WEIGHTS.items())
    assert content["meta"]["cfg"] == CONFIG
    assert read_keypoint_set(content["meta"]["dataset_meta"]) == COCO
    assert content["meta"]["dataset_meta"]["classes"] == ("person",)


def test_file_of_another_program_is_a_bare_state_dict(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", {"format": "pt", "config": "import os"})
    content = read_checkpoint(tmp_path / "a.safetensors")
    assert (list(content["state_dict"]), content["meta"]) == (["a"], {})
    with pytest.raises(CheckpointError, match=r"cannot be resumed, because it has no optimizer"):
        check_resumable(content, tmp_path / "a.safetensors")


def damage(path, how):
    content = path.read_bytes()
    path.write_bytes(how(content))


@pytest.mark.parametrize(
    "how",
    [
        lambda content: b"",
        lambda content: content[:-5],
        lambda content: content[:20],
        lambda content: struct.pack("<Q", 2**40) + content[8:],
        lambda content: content.replace(b'"F32"', b'"F99"'),
        lambda content: content.replace(b"{", b"[", 1),
        lambda content: b"PK\x03\x04" + content,
    ],
    ids=["empty", "cut", "cut header", "huge header", "type", "list", "archive"],
)
def test_damaged_file_is_refused(tmp_path, how):
    path = write_safetensors(tmp_path / "a.safetensors", WEIGHTS, ModelNotes(CONFIG, COCO, ("person",)))
    damage(path, how)
    with pytest.raises(CheckpointError, match=r"a\.safetensors cannot be loaded as a checkpoint: the file is damaged"):
        read_checkpoint(path)


def test_pickle_with_the_name_of_a_safetensors_file_is_not_unpickled(tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    torch.save({"state_dict": WEIGHTS, "meta": Attack()}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="not in the safetensors format"):
        read_checkpoint(tmp_path / "a.safetensors")
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ({"rtmo_keypoints": "["}, "its keypoint set is not valid JSON"),
        ({"rtmo_keypoints": "[]"}, "not an object of JSON"),
        ({"rtmo_keypoints": json.dumps({"names": ["a"], "sigmas": ["b"]})}, "not a list of numbers"),
        ({"rtmo_keypoints": "[" * 100_000}, "nested too deeply"),
        ({"rtmo_keypoints": "1" * 2_000_000}, "has 2,000,000 characters"),
    ],
)
def test_metadata_that_are_not_what_they_should_be_are_refused(tmp_path, notes, words):
    save_file(WEIGHTS | {"backbone.weight": torch.ones(2)}, tmp_path / "a.safetensors", notes)
    with pytest.raises(CheckpointError, match=f"has metadata that this version cannot read: .*{words}"):
        read_checkpoint(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "text",
    ["import os; os.mkdir('attacked')", "model = dict(type='os.system')", "model = dict(a=__import__('os'))"],
)
def test_hostile_config_is_refused_and_not_executed(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path = write_safetensors(tmp_path / "a.safetensors", WEIGHTS, ModelNotes(text, COCO, ("person",)))
    with pytest.raises(CheckpointError, match=r"The config inside .*a\.safetensors is not used, because"):
        read_embedded_config(path)
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_without_the_package_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    path = write_safetensors(tmp_path / "a.safetensors", WEIGHTS, ModelNotes(CONFIG, COCO, ("person",)))
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingPackageError, match=r'safetensors, which is not installed: pip install ".*\[hub\]"$'):
        read_checkpoint(path)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(MissingPackageError, match=r"^Writing .*b\.safetensors needs safetensors"):
        write_safetensors(tmp_path / "b.safetensors", WEIGHTS, ModelNotes(CONFIG, COCO, ("person",)))


@pytest.mark.parametrize("name", sorted(path.stem for path in OUR_CONFIGS.glob("rtmo-*.py")))
def test_text_of_every_shipped_config_is_read_again(tmp_path, name):
    cfg = Config.fromfile(OUR_CONFIGS / f"{name}.py")
    path = write_safetensors(tmp_path / "a.safetensors", WEIGHTS, ModelNotes(format_config(cfg), COCO, ("person",)))
    again = read_embedded_config(path)
    assert again.model.head == cfg.model.head
    assert again.test_dataloader.dataset.pipeline == cfg.test_dataloader.dataset.pipeline


def test_a_config_keeps_no_folder_of_the_machine(tmp_path):
    cfg = Config.fromfile(OUR_CONFIGS / "rtmo-s_custom.py")
    cfg.merge_from_dict({"test_dataloader.dataset.data_root": "/home/me/secret/people"})
    assert "secret" not in format_config(cfg)


def test_commands_take_it(tmp_path, capsys):
    path = write_safetensors(tmp_path / "a.safetensors", WEIGHTS, ModelNotes(CONFIG, COCO, ("person",)))
    code, out, err = run_command(capsys, "info", path, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["keypoints"] == list(COCO.names)
    code, out, err = run_command(capsys, "predict", path, path)  # not an RTMO, and the sentence comes from its config
    assert (code, err.count("\n")) == (2, 1)
