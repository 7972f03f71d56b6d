"""`rtmo dataset split`: labels whose references are spelled otherwise stay, and what is lost is said."""

import json

import pytest

from rtmo_plugin.labels import split_file
from rtmo_plugin.labels.coco_files import read_coco
from tests.tools.test_tools import run_in_process


def write(folder, change=lambda coco: None, count=10):
    coco = {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in range(1, count + 1)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [n, 2, 30, 40], "keypoints": [n + 9, 9, 2]}
            for n in range(1, count + 1)
        ],
        "categories": [{"id": 1, "name": "x", "keypoints": ["a"]}],
    }
    change(coco)
    path = folder / "all.json"
    path.write_text(json.dumps(coco))
    return path


def read_parts(folder):
    return [read_coco(folder / "out" / name) for name in ("train.json", "val.json")]


def spell(how, section, key):
    return lambda coco: [entry.update({key: how(entry[key])}) for entry in coco[section]]


@pytest.mark.parametrize("section", ["images", "annotations"])
@pytest.mark.parametrize("how", [str, float, lambda number: f"{number:06d}"])
def test_references_in_another_spelling(tmp_path, section, how):
    file = write(tmp_path, spell(how, section, "id" if section == "images" else "image_id"))
    split_file(file, tmp_path / "out")
    for part in read_parts(tmp_path):
        assert len(part["annotations"]) == len(part["images"]) > 0
        assert [int(each["image_id"]) for each in part["annotations"]] == [int(each["id"]) for each in part["images"]]
    assert (
        sorted((each for part in read_parts(tmp_path) for each in part["images"]), key=lambda each: int(each["id"]))
        == (read_coco(file)["images"])
    )  # as they came


@pytest.mark.parametrize("seed", range(8))
def test_one_file_under_several_ids_is_on_one_side(tmp_path, seed):
    def repeat(coco):
        coco["images"] += [
            {**image, "id": image["id"] + 100, "file_name": f"./{image['id']}.jpg"} for image in coco["images"]
        ]

    split_file(write(tmp_path, repeat), tmp_path / "out", val=0.5, seed=seed)
    train, val = ({image["file_name"].removeprefix("./") for image in part["images"]} for part in read_parts(tmp_path))
    assert not train & val
    assert len(train | val) == 10


def test_what_is_in_neither_part_is_reported(tmp_path, capsys):
    def lose(coco):
        coco["annotations"] += [{"id": 90, "image_id": 777}, "text"]
        coco["images"].append({"file_name": None, "id": [1]})

    code, out, _ = run_in_process(capsys, "dataset", "split", write(tmp_path, lose), tmp_path / "out")
    assert code == 0
    assert "In neither file: 2 annotations of no image in the file" in out
    assert "In neither file: 1 image without an id" in out


def test_escape_sequences_of_names_are_shown(tmp_path, capsys):
    def color(coco):
        coco["categories"][0]["name"] = "\x1b[2Jx"
        coco["images"][0].update(file_name="\x1b[31m.jpg", width=None)

    for command in (("check",), ("split", tmp_path / "out")):
        _, out, _ = run_in_process(capsys, "dataset", command[0], write(tmp_path, color), *command[1:])
        assert "\x1b" not in out
        assert r"\x1b[2Jx" in out
