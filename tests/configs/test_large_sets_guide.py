"""docs/large-sets.md as a reader follows it: every command, on small files of the published layouts."""

import json
import re
import shutil

import pytest
import torch

from rtmo_plugin.labels import read_coco
from tests.configs.test_large_sets import ANIMAL_NAMES, FILES, write_published
from tests.evaluation.test_whole_body import PARTS
from tests.export.conftest import build_tiny
from tests.guides import list_commands, read_guide
from tests.tiny_runs import make_tiny
from tests.tools.test_tools import run_in_process

CONFIGS = ("rtmo-s_wholebody", "rtmo-s_ochuman", "rtmo-s_custom")
WEIGHTS = ("rtmo-s_body7", "rtmo-s_coco")
COMMANDS = list_commands(read_guide("large-sets.md"))


def test_every_command_is_run():
    """The one of a clone, ``python -m benchmarks keypoints``, by tests/benchmarks."""
    assert {tool for tool, _ in COMMANDS} == {"dataset", "train", "test", "-m"}
    assert [arguments[:2] for tool, arguments in COMMANDS if tool == "-m"] == [["benchmarks", "keypoints"]]


def follow(tools, folder, monkeypatch, capsys, replacements=()):
    """Run the page's commands of some tools in a folder, and return what each printed."""
    monkeypatch.chdir(folder)
    printed = []
    for tool, arguments in COMMANDS:
        if tool in tools:
            words = [dict(replacements).get(word, word) for word in arguments]
            code, out, err = run_in_process(capsys, tool, *words)
            assert (code, err) == (0, ""), (tool, words, out)
            printed.append(out)
    return printed


def test_label_files(tmp_path, monkeypatch, capsys):
    write_published(tmp_path / "data", "wholebody")
    write_published(tmp_path, "ap10k")
    animals = json.loads((tmp_path / FILES["ap10k"][0].format("train")).read_text())
    for name in ("photos", "dogs"):
        shutil.copytree(tmp_path / "ap10k/data", tmp_path / name)
    antelope, cow = animals["categories"]
    person = {**antelope, "name": "person", "keypoints": [f"point {number}" for number in range(17)]}
    write = {"ap10k": [antelope, cow], "people": [person, cow], "dogs": [{**antelope, "name": "dog"}, cow]}
    for name, categories in write.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({**animals, "categories": categories}))
    checked, _, *_ = follow({"dataset"}, tmp_path, monkeypatch, capsys)
    assert "1 category: person (133 keypoints)\nNothing is wrong with it." in checked
    people = [each for name in ("train", "val") for each in read_coco(tmp_path / f"mine/{name}.json")["annotations"]]
    assert {len(each["keypoints"]) for each in people} == {3 * 133}
    joined = {name: read_coco(tmp_path / f"{name}.json") for name in ("both", "one", "animals")}
    assert {
        name: [each["name"] for each in coco["categories"]] for name, coco in joined.items()
    } == {"both": ["person", "cow", "dog"], "one": ["person", "cow"], "animals": ["animal"]}  # fmt: skip
    num_people = len(animals["annotations"])
    assert [len(coco["annotations"]) for coco in joined.values()] == [2 * num_people, num_people, num_people]
    assert {image["file_name"].partition("/")[0] for image in joined["both"]["images"]} == {"photos", "dogs"}
    assert joined["one"]["categories"][1]["keypoints"] == [*person["keypoints"], *ANIMAL_NAMES]


@pytest.mark.slow
def test_trainings_and_evaluations(tmp_path, monkeypatch, capsys):
    for name in ("wholebody", "ochuman", "halpe26"):
        write_published(tmp_path / "data", name)
    pattern, _, (images, _) = FILES["halpe26"]
    shutil.copytree(tmp_path / "data" / images, tmp_path / "mine/images")
    coco = json.loads((tmp_path / "data" / pattern.format("train")).read_text())
    for person in coco["annotations"]:
        person["keypoints"] = person["keypoints"][: 3 * 26]
    for name in ("train", "val"):
        (tmp_path / f"mine/{name}.json").write_text(json.dumps(coco))
    for name in CONFIGS:
        cfg = make_tiny(name)
        cfg.train_cfg.update(max_epochs=1, val_interval=1)
        cfg.dump(tmp_path / f"{name}.py")
    for name in WEIGHTS:
        torch.save({"state_dict": build_tiny("rtmo-s_coco").state_dict()}, tmp_path / f"{name}.pth")
    replacements = {name: f"{name}.py" for name in CONFIGS} | {name: f"{name}.pth" for name in WEIGHTS}
    trained, parts, occluded, custom = follow({"train", "test"}, tmp_path, monkeypatch, capsys, replacements)
    assert "has 17 keypoints, and the model 133: 17 have the same name" in trained
    assert re.findall(r"^(\w+) +[\d.-]+ +[\d.-]+$", parts, re.M) == list(PARTS)
    assert "AP (M)" in occluded
    assert "1 class, 26 keypoints; sigmas are known" in custom
    assert "left_small_toe 0.079" in custom
