"""The written folder is COCO to other programs, and equal to the dataset it was written from."""

import json
import runpy
import sys

import numpy as np
import pytest
from mmpose.datasets import CocoDataset
from xtcocotools.coco import COCO

from rtmo_plugin.data import SyntheticPeople, write_coco_folder
from tests.conftest import ROOT

TOOL = ROOT / "tools" / "make_synthetic.py"


@pytest.fixture(scope="module")
def dataset():
    load = {"type": "rtmo_plugin.DrawSyntheticImage"}
    return SyntheticPeople(12, seed=3, size_wh=(96, 80), num_people=(0, 3), pipeline=[load], test_mode=True)


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("coco")
    paths = list(write_coco_folder(dataset, folder, "val2017"))
    assert [path.name for path in paths[:2]] == ["000000.png", "000001.png"]
    assert len(paths) == 13
    return folder


def test_mmpose_reads_the_same_records_and_images(dataset, folder):
    written = CocoDataset(
        data_root=str(folder), ann_file="annotations/person_keypoints_val2017.json", data_prefix={"img": "val2017/"},
        data_mode="bottomup", pipeline=[{"type": "LoadImage"}], test_mode=True,
    )  # fmt: skip
    assert len(written) == len(dataset) == 12
    for ours, theirs in zip(dataset, written, strict=True):
        assert ours.keys() == theirs.keys()
        for key in ours.keys() - {"img_path", "dataset", "dataset_name"}:
            np.testing.assert_equal(ours[key], theirs[key], err_msg=key)


def test_the_coco_api_reads_it(dataset, folder):
    api = COCO(str(folder / "annotations" / "person_keypoints_val2017.json"))
    assert api.getImgIds() == list(range(12))
    assert api.loadCats(1)[0]["keypoints"][5] == "left_shoulder"
    assert min(api.getAnnIds()) > 0
    assert any(not api.getAnnIds(imgIds=index) for index in range(12))
    for annotation in api.loadAnns(api.getAnnIds()):
        mask = api.annToMask(annotation)
        assert mask.sum() == annotation["area"]
        assert mask.shape == (80, 96)


def test_to_coco_is_plain_json_and_always_the_same(dataset):
    assert json.dumps(dataset.to_coco()) == json.dumps(dataset.to_coco())


def test_an_existing_split_is_not_overwritten(dataset, folder):
    with pytest.raises(ValueError, match="exists already"):
        next(write_coco_folder(dataset, folder, "val2017"))


def run_tool(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["make_synthetic.py", *arguments])
    runpy.run_path(str(TOOL), run_name="__main__")


def test_the_tool_writes_a_folder(tmp_path, monkeypatch, capsys):
    run_tool(monkeypatch, str(tmp_path / "new" / "folder"), "--num-images", "2", "--size", "64", "48")
    assert sorted(path.name for path in (tmp_path / "new" / "folder" / "train2017").iterdir()) == [
        "000000.png",
        "000001.png",
    ]
    written = json.loads((tmp_path / "new/folder/annotations/person_keypoints_train2017.json").read_text())
    assert [(image["width"], image["height"]) for image in written["images"]] == [(64, 48)] * 2
    assert str(tmp_path) in capsys.readouterr().out


def test_the_tool_says_what_is_wrong_and_exits_with_2(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as caught:
        run_tool(monkeypatch, str(tmp_path), "--num-people", "3", "9")
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: num_people")
