"""docs/custom-data.md as a reader follows it: every command, one after the other, in an empty folder."""

import json
import re
from pathlib import Path

import cv2
import pytest

from rtmo_plugin.labels import read_coco
from rtmo_plugin.labels.conversion import convert_to_coco
from tests.guides import list_commands, read_guide
from tests.tiny_runs import make_tiny
from tests.tools.test_tools import run_in_process

GUIDE = read_guide("custom-data.md")
ONLY_WITH_A_GPU = "rtmo-s_custom"  # tests/configs/test_custom_recipe.py trains it


def follow(capsys, folder, replacements):
    """Run all commands with some words replaced, and return what each printed, by tool and command."""
    printed = {}
    for tool, arguments in list_commands(GUIDE):
        if ONLY_WITH_A_GPU in arguments:
            continue
        replaced = [replacements.get(word, word) for word in arguments]
        code, out, err = run_in_process(capsys, tool, *replaced)
        assert code == 0, (tool, replaced, err)
        printed.setdefault(tool if tool != "dataset" else arguments[0], out)
    content = json.loads((folder / "work_dirs/robots_found/predictions.json").read_text())
    assert content["keypoints"] == ["head", "left_hand", "right_hand", "left_foot", "right_foot"]
    for entry in content["images"]:
        image = cv2.imread(str(folder / entry["image"]))
        drawn = cv2.imread(str(folder / "work_dirs/robots_found" / Path(entry["image"]).name))
        assert image.shape == drawn.shape
    return printed


def test_every_command_runs_on_a_tiny_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    make_tiny("rtmo-t_custom").dump(tmp_path / "configs/rtmo-t_custom.py")
    few = {"300": "5", "40": "3", "20": "2", "0.3": "0.0"}  # images, and a threshold that untrained scores pass
    printed = follow(capsys, tmp_path, {**few, "rtmo-t_custom": "configs/rtmo-t_custom.py"})
    steps = {"make_robots", "convert", "check", "show", "split", "train", "test", "predict", "export", "label"}
    assert set(printed) == steps
    sets = [read_coco(tmp_path / "data/robots" / name) for name in ("train.json", "val.json")]
    assert [len(coco["images"]) for coco in sets] == [4, 1]
    assert sets[0]["categories"][0]["skeleton"] == [[1, 2], [1, 3], [1, 4], [1, 5]]
    assert "2 classes, " in printed["train"]
    assert re.search(r"^ *AP +AP \.5 ", printed["test"], re.M)
    assert (tmp_path / "work_dirs/robots.onnx").is_file()
    assert "5 images of 5" in printed["show"]
    back, _ = convert_to_coco(tmp_path / "data/robots/to_correct.xml", "cvat")
    assert len(back["images"]) == 2
    assert back["annotations"]
    assert len((tmp_path / "data/robots/to_correct.order.csv").read_text().splitlines()) == 3


@pytest.mark.slow
def test_the_guide_gives_a_model_that_finds_robots_and_their_classes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    printed = follow(capsys, tmp_path, {"300": "500"})  # the number of images for which the guide states an AP
    precision = float(printed["test"].splitlines()[-1].split()[0])
    (stated,) = re.findall(r"AP of (0?\.\d+) on its 100 validation images", GUIDE)
    assert precision > float(stated) - 0.15  # the seed is another one each time
