"""``dataset.py split``: every image in one of two files, with its people."""

import json

import pytest

from rtmo_plugin.labels import read_coco
from rtmo_plugin.labels.splitting import split_coco
from tests.tools.test_tools import run_in_process


def test_parts_are_the_whole(coco):
    coco["info"] = {"year": 2026}
    train, val = split_coco(coco, 0.34)
    assert [len(part["images"]) for part in (train, val)] == [2, 1]
    for section in ("images", "annotations"):
        assert sorted(entry["id"] for part in (train, val) for entry in part[section]) == sorted(
            entry["id"] for entry in coco[section]
        )
    for part in (train, val):
        ids = {image["id"] for image in part["images"]}
        assert {person["image_id"] for person in part["annotations"]} <= ids
        assert (part["categories"], part["info"]) == (coco["categories"], coco["info"])


def test_a_seed_draws_the_same_images_and_every_share_leaves_one(coco):
    splits = {seed: split_coco(coco, 0.5, seed)[1] for seed in range(8)}
    assert splits[3] == split_coco(coco, 0.5, 3)[1]
    assert len({json.dumps(part) for part in splits.values()}) > 1
    assert [len(part["images"]) for share in (0.001, 0.999) for part in split_coco(coco, share)] == [2, 1, 1, 2]


def test_as_a_user(coco, tmp_path, capsys):
    file = tmp_path / "people.json"
    file.write_text(json.dumps(coco))
    code, out, _ = run_in_process(capsys, "dataset", "split", file, tmp_path / "set")
    assert code == 0
    train, val = (read_coco(tmp_path / "set" / name) for name in ("train.json", "val.json"))
    assert len(train["images"]) + len(val["images"]) == 3
    assert out.splitlines()[0].startswith(f"{tmp_path / 'set/train.json'}: 2 images, ")
    mistakes = {
        (
            file,
            tmp_path / "set",
        ): f"error: {tmp_path / 'set/train.json'} exists already and is not overwritten: name another folder",
        (file, tmp_path / "x", "--val", "1"): "error: argument --val: '1' is not a number above 0",
    }
    for arguments, sentence in mistakes.items():
        code, _, err = run_in_process(capsys, "dataset", "split", *arguments)
        assert (code, sentence in err.splitlines()[-1]) == (2, True)


def test_one_image_cannot_be_split(coco):
    coco["images"] = coco["images"][:1]
    with pytest.raises(ValueError, match="has one image, and two parts need at least two"):
        split_coco(coco, 0.5)
