"""The checkpoint that --resume goes on from: the furthest that is whole, whatever happened to the others."""

import itertools
import os

import pytest
import torch
from mmengine.config import Config

from rtmo_plugin.engine.resuming import continue_seed, find_resumable
from rtmo_plugin.errors import CheckpointError, MissingFileError
from tests.edited import edit_copy

_clock = itertools.count(10**18, 10**9)


def write(path, epoch, **changes):
    content = {
        "state_dict": {"weight": torch.rand(1000)},
        "optimizer": {},
        "message_hub": {},
        "param_schedulers": [],
        "meta": {"epoch": epoch, "iter": 10 * epoch},
    }
    torch.save({**content, **changes}, path)
    os.utime(path, ns=(0, next(_clock)))  # a file system's clock may be too coarse for files this small
    return path


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def test_furthest_is_taken_whenever_it_was_written(tmp_path):
    for name, epoch in (("last.pth", 5), ("epoch_4.pth", 4), ("previous.pth", 4)):
        write(tmp_path / name, epoch)
    assert find_resumable(tmp_path) == tmp_path / "last.pth"
    write(tmp_path / "epoch_5.pth", 5)
    assert find_resumable(tmp_path) == tmp_path / "epoch_5.pth"


def test_checkpoint_in_another_folder_is_found_by_the_note(tmp_path):
    (tmp_path / "work").mkdir()
    write(tmp_path / "work/last.pth", 2)
    elsewhere = write(tmp_path / "epoch_3.pth", 3)
    (tmp_path / "work/last_checkpoint").write_text(str(elsewhere))
    assert find_resumable(tmp_path / "work") == elsewhere


@pytest.mark.parametrize("damage", [cut, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(bytes(99))])
def test_damaged_file_is_passed_over_and_named(tmp_path, capsys, damage):
    good, newest = write(tmp_path / "epoch_4.pth", 4), write(tmp_path / "last.pth", 5)
    damage(newest)
    assert find_resumable(tmp_path) == good
    assert capsys.readouterr().out == (
        f"passing over a checkpoint: {newest} cannot be loaded as a checkpoint: the file is damaged, empty or of "
        "another format.\n"
    )


def test_weights_alone_are_passed_over(tmp_path, capsys):
    good = write(tmp_path / "epoch_4.pth", 4)
    torch.save({"state_dict": {"weight": torch.rand(3)}}, tmp_path / "epoch_9.pth")
    assert find_resumable(tmp_path) == good


def test_nothing_good_is_an_error_and_nothing_at_all_is_not(tmp_path):
    assert find_resumable(tmp_path) is None
    (tmp_path / "last_checkpoint").write_text("/gone/epoch_2.pth")
    with pytest.raises(MissingFileError, match=r"/gone/epoch_2\.pth, is gone: name another with --resume"):
        find_resumable(tmp_path)
    cut(write(tmp_path / "epoch_2.pth", 2))
    with pytest.raises(CheckpointError, match=r"No checkpoint in .* can be resumed: name another"):
        find_resumable(tmp_path)


def test_seed_of_the_run_goes_on(capsys):
    checkpoint = {"meta": {"seed": 7}}
    assert edit_copy(continue_seed, Config({}), checkpoint).randomness == {"seed": 7}
    changed = edit_copy(continue_seed, Config({"randomness": {"seed": 1, "deterministic": True}}), checkpoint)
    assert changed.randomness == {"seed": 7, "deterministic": True}
    assert capsys.readouterr().out == "resuming with the seed of the checkpoint, 7, instead of 1\n"
    assert "randomness" not in edit_copy(continue_seed, Config({}), {"meta": {}})
