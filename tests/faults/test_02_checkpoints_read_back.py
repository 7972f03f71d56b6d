"""What training writes can be read again: every metainfo of MMPose, empty arrays, data sets without bones."""

import datetime
import io
import json
import pickle
import shutil
from pathlib import Path

import mmpose
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from rtmo_plugin.api import train
from rtmo_plugin.checkpoints.contents import check_readable, make_plain
from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.engine import training_loop
from rtmo_plugin.errors import CheckpointError
from rtmo_plugin.workarounds.weights_only import _get_trusted_functions, _Unpickler
from tests.conftest import run_command
from tests.tiny_runs import make_tiny

METAINFO = sorted(Path(mmpose.__file__).parent.glob(".mim/configs/_base_/datasets/*.py"))


def write(path, **notes):
    torch.save({"state_dict": {"weight": torch.ones(1)}, "meta": notes}, path)
    return path


def test_there_are_all_metainfo_files():
    assert len(METAINFO) >= 55


@pytest.mark.parametrize("file", METAINFO, ids=lambda path: path.stem)
def test_checkpoint_with_each_metainfo_of_mmpose_is_read(tmp_path, file):
    metainfo = parse_pose_metainfo({"from_file": str(file)})
    check_readable(metainfo, "metainfo")
    found = read_checkpoint(write(tmp_path / "x.pth", dataset_meta=metainfo))["meta"]["dataset_meta"]
    assert found.keys() == metainfo.keys()
    np.testing.assert_equal(found, metainfo)


PLAIN = [
    np.empty(0),
    np.zeros((0, 2), np.float32),
    np.zeros((3, 0), np.uint8),
    np.zeros(0, "U4"),
    np.array(["a", "bc"]),
    np.array([b"a"]),
    np.array(3.0),
    np.float64("nan"),
    np.str_("a"),
    np.asfortranarray(np.eye(2)),
    np.array([1j]),
    np.array(["2020-01-01"], "M8[D]"),
    b"",
    b"a",
    bytearray(),
    set(),
    {1},
    (),
    1j,
    10**400,
    torch.Size([2]),
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_are_read_as_they_were_written(tmp_path, value):
    (found,) = read_checkpoint(write(tmp_path / "x.pth", value=[value]))["meta"]["value"]
    assert type(found) is type(value)
    assert repr(found) == repr(value)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_empty_buffers_and_histories_are_read(tmp_path, shape):
    content = {"state_dict": {"empty": torch.empty(shape)}, "message_hub": {"log_scalars": {"a": HistoryBuffer()}}}
    check_readable(content, "")
    torch.save(content, tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth")["state_dict"]["empty"].shape == shape


class Large:
    """Asks for a gigabyte when it is read."""

    def __reduce__(self):
        return bytes, (2**30,)


def test_bytes_of_a_size_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"x\.pth cannot be loaded"):
        read_checkpoint(write(tmp_path / "x.pth", value=Large()))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_unpickler_for_old_torch_reads_empty_arrays_too(protocol):
    assert {"builtins.bytes", "__builtin__.bytes"} <= _get_trusted_functions().keys()
    values = [np.empty(0), b"", {1}, 1j]
    np.testing.assert_equal(_Unpickler(io.BytesIO(pickle.dumps(values, protocol))).load(), values)


def test_what_has_a_plain_equal_becomes_it(tmp_path):
    given = ConfigDict(a=[ConfigDict(b=frozenset({1}))], path=Path("x/y"), mixed=np.array([None, 1], object))
    notes = make_plain(given)
    check_readable(notes, "meta")
    assert notes == {"a": [{"b": {1}}], "path": "x/y", "mixed": [None, 1]}
    assert type(notes) is type(notes["a"][0]) is dict


@pytest.mark.parametrize("value", [datetime.date(2020, 1, 1), lambda: None, io.StringIO(), np.ma.array([1])])
def test_what_could_not_be_read_is_an_error_with_its_place(value):
    with pytest.raises(CheckpointError, match=r"^meta\.tools\[1\]\.x is a .*could not be read again: use numbers"):
        check_readable({"meta": {"tools": [1, {"x": value}]}}, "")


@pytest.fixture(scope="module")
def boneless_root(tmp_path_factory, data_root):
    """Return the tiny COCO folder with one keypoint and no skeleton."""
    root = tmp_path_factory.mktemp("boneless")
    for split in ("train2017", "val2017"):
        shutil.copytree(data_root / "coco" / split, root / "images", dirs_exist_ok=True)
        coco = json.loads((data_root / f"coco/annotations/person_keypoints_{split}.json").read_text())
        people = [{**each, "keypoints": each["keypoints"][:3], "num_keypoints": 1} for each in coco["annotations"]]
        (root / f"{split[:-4]}.json").write_text(
            json.dumps(
                {**coco, "annotations": people, "categories": [{"id": 1, "name": "person", "keypoints": ["nose"]}]}
            )
        )
    return root


def test_data_set_without_bones_is_trained_and_its_checkpoint_is_used(boneless_root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(training_loop, "CurvesHook", Hook)  # whose plots take longer than the training
    cfg = make_tiny("rtmo-s_custom")
    cfg.train_cfg.max_epochs = 1
    cfg.dump(tmp_path / "custom.py")
    arguments = (tmp_path / "custom.py", "--data-root", boneless_root, "--work-dir", tmp_path / "run")
    assert run_command(capsys, "train", *arguments, "--from-scratch", "--no-validate")[0] == 0
    checkpoint = tmp_path / "run/epoch_1.pth"
    assert run_command(capsys, "info", checkpoint)[0] == 0
    code, out, _ = run_command(capsys, "eval", tmp_path / "custom.py", checkpoint, "--data-root", boneless_root)
    assert (code, "AP" in out) == (0, True)
    assert run_command(capsys, "train", *arguments, "--resume", "--no-validate")[0] == 0


def test_metainfo_that_cannot_be_read_back_stops_before_the_first_step(data_root, tmp_path, monkeypatch):
    cfg = make_tiny("rtmo-t_coco")
    load = BaseCocoStyleDataset._load_metainfo.__func__
    monkeypatch.setattr(
        BaseCocoStyleDataset,
        "_load_metainfo",
        classmethod(lambda cls, info=None: {**load(cls, info), "author": datetime.date(2020, 1, 1)}),
    )
    with pytest.raises(CheckpointError, match=r"^metainfo.author is a datetime\.date"):
        train(cfg, data_root=data_root, work_dir=tmp_path, from_scratch=True, seed=0)
    assert not list(tmp_path.glob("*.pth"))
