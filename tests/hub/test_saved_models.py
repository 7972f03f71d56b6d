"""What is saved, published and opened again computes the same numbers, bit by bit, also in another process."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import PyTorchModelHubMixin

from rtmo_plugin import RTMO, CSPConfig, Pose, RTMOConfig
from rtmo_plugin.api import publish
from rtmo_plugin.errors import CheckpointError, ConfigError, OutputError
from rtmo_plugin.hub.model_description import ModelDescription
from rtmo_plugin.hub.model_folder import CARD_FILE, CONFIG_FILE, ONNX_FILE, PREPROCESSOR_FILE, WEIGHTS_FILE
from tests.conftest import run_command
from tests.tiny_files import make_image

FILES = sorted((CARD_FILE, CONFIG_FILE, PREPROCESSOR_FILE, WEIGHTS_FILE))
IN_ANOTHER_PROCESS = """
import sys
import cv2, numpy as np, torch
from rtmo_plugin import RTMO, Pose
folder, image, out = sys.argv[1:]
people = Pose.from_pretrained(folder, score_thr=0.0, device="cpu")(image)
with torch.no_grad():
    found = RTMO.from_pretrained(folder)(torch.from_numpy(cv2.imread(image)).permute(2, 0, 1)[None].float())
np.savez(out, keypoints=people.keypoints, scores=people.scores, network=found.keypoints, names=people.keypoint_names)
"""


def run_elsewhere(folder, tmp_path):
    """Return the image, and what a new process finds in it with the model in a folder."""
    image = make_image(96, 64)
    cv2.imwrite(str(tmp_path / "image.png"), image)
    arguments = [sys.executable, "-c", IN_ANOTHER_PROCESS, str(folder), str(tmp_path / "image.png")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([*arguments, str(tmp_path / "found.npz")], check=True, env=environment, cwd=tmp_path)
    return image, np.load(tmp_path / "found.npz")


def test_saved_model_computes_the_same_in_another_process(model, folder, tmp_path):
    assert sorted(os.listdir(folder)) == FILES
    image, found = run_elsewhere(folder, tmp_path)
    with torch.no_grad():
        own = model(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    assert len(own) > 0
    np.testing.assert_array_equal(found["network"], own.keypoints.numpy())
    torch.save({"state_dict": model.state_dict()}, tmp_path / "same.pth")
    here = Pose(tmp_path / "same.pth", config=folder / WEIGHTS_FILE, score_thr=0.0, device="cpu")(image)
    assert len(here) > 0
    np.testing.assert_array_equal(found["keypoints"], here.keypoints)
    np.testing.assert_array_equal(found["scores"], here.scores)
    assert list(found["names"]) == ["head", "left_hand", "right_hand"]


def test_opened_model_has_the_config_and_is_one_of_the_hub(model, folder):
    opened = RTMO.from_pretrained(folder)
    assert isinstance(opened, PyTorchModelHubMixin)
    assert not opened.training
    assert (opened.config.score_thr, opened.config.nms_thr) == (0.05, 0.5)
    assert opened.config.schema == model.config.schema
    assert opened.state_dict().keys() == model.state_dict().keys()
    assert all(map(torch.equal, opened.state_dict().values(), model.state_dict().values()))


def test_files_of_others_stay(model, folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / CONFIG_FILE).write_text("mine too")
    with pytest.raises(OutputError, match="exists already and is not overwritten"):
        model.save_pretrained(tmp_path)
    assert (tmp_path / CONFIG_FILE).read_text() == "mine too"
    model.save_pretrained(tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / CONFIG_FILE).read_text() == (folder / CONFIG_FILE).read_text()
    assert sorted(os.listdir(tmp_path)) == sorted([*FILES, "notes.txt"])


def test_a_save_that_fails_leaves_nothing(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match="needs safetensors"):
        model.save_pretrained(tmp_path / "new")
    assert os.listdir(tmp_path) == []


def test_card_and_preprocessor_are_those_of_the_hub(folder):
    _, matter, text = (folder / CARD_FILE).read_text().split("---\n", 2)
    assert yaml.safe_load(matter)["pipeline_tag"] == "keypoint-detection"
    assert yaml.safe_load(matter)["library_name"] == "rtmo-plugin"
    assert 'Pose.from_pretrained("OWNER/robots")' in text
    config = json.loads((folder / CONFIG_FILE).read_text())
    assert (config["model_type"], config["id2label"]["1"]) == ("rtmo", "left_hand")
    preprocessor = json.loads((folder / PREPROCESSOR_FILE).read_text())
    assert preprocessor["size"] == {"width": 416, "height": 416}
    assert (preprocessor["do_rescale"], preprocessor["do_flip_channel_order"]) == (False, True)


def test_published_checkpoint_of_a_shipped_size_opens_as_that_network(tmp_path):
    torch.manual_seed(0)
    own = RTMO(RTMOConfig(CSPConfig("tiny"))).eval()
    torch.save({"state_dict": own.state_dict()}, tmp_path / "mine.pth")
    result = publish(tmp_path / "mine.pth", tmp_path / "mine", config="rtmo-t_coco", license="mit")
    assert result.files == tuple(FILES)
    assert (result.description.size, result.description.size_wh) == ("tiny", (416, 416))
    assert "license: mit" in (tmp_path / "mine" / CARD_FILE).read_text()
    opened = RTMO.from_pretrained(tmp_path / "mine")
    assert all(torch.equal(opened.state_dict()[name], value) for name, value in own.state_dict().items())


def test_command_publishes_a_network_of_its_own_size_with_onnx(tiny_model, tmp_path, capsys):
    config, checkpoint = tiny_model
    out = tmp_path / "narrow"
    code, said, err = run_command(capsys, "publish", checkpoint, out, "--config", config, "--onnx")
    assert (code, err) == (0, ""), err
    assert "Pose.from_pretrained opens it" in said
    assert f"hf upload OWNER/narrow {out}" in said
    assert sorted(each.name for each in out.rglob("*") if each.is_file()) == sorted([*FILES, "model.onnx"])
    image = make_image()
    given, found = (
        pose(image)
        for pose in (Pose(checkpoint, config=config, score_thr=0.1), Pose.from_pretrained(out, score_thr=0.1))
    )
    assert len(given) > 0
    np.testing.assert_array_equal(found.keypoints, given.keypoints)
    assert len(Pose.from_pretrained(out, file=ONNX_FILE, score_thr=0.1)(image)) == len(given)
    assert ModelDescription.read(out).size is None
    with pytest.raises(ConfigError, match="not one of the shipped sizes, so RTMO cannot build it: open it with Pose"):
        RTMO.from_pretrained(out)
    code, _, err = run_command(capsys, "publish", checkpoint, out, "--config", config)
    assert (code, err) == (2, f"error: {out} exists already and is not overwritten.\n")
    code, said, _ = run_command(capsys, "publish", checkpoint, out, "--config", config, "--overwrite", "--json")
    assert (code, json.loads(said)["files"]) == (0, FILES)
    assert (out / ONNX_FILE).is_file()


def test_weights_that_do_not_fit_are_refused(folder, tmp_path):
    (tmp_path / WEIGHTS_FILE).symlink_to(folder / WEIGHTS_FILE)
    content = json.loads((folder / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps({**content, "size": "small"}))
    with pytest.raises(CheckpointError, match="checkpoint is rtmo-t with 3 keypoints, config is rtmo-s with 3"):
        RTMO.from_pretrained(tmp_path)
