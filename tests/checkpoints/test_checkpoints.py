"""Reading checkpoints: hostile, damaged and foreign files are refused in a sentence."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from rtmo_plugin.checkpoints.reading import check_resumable, locate_checkpoint, read_checkpoint, read_note
from rtmo_plugin.errors import CheckpointError, MissingFileError

WEIGHTS = {"backbone.weight": torch.ones(3)}


class Attack:
    """Runs a program when a careless reader loads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def save(path, content):
    torch.save(content, path)
    return path


def test_state_dict_and_bare_state_dict_are_read(tmp_path):
    full = save(tmp_path / "full.pth", {"state_dict": WEIGHTS, "meta": {"epoch": 3}})
    bare = save(tmp_path / "bare.pth", WEIGHTS)
    for path in (full, bare):
        assert torch.equal(read_checkpoint(path)["state_dict"]["backbone.weight"], torch.ones(3))


@pytest.mark.parametrize("has_zip", [True, False])
def test_program_in_a_checkpoint_is_not_run(tmp_path, has_zip):
    path = tmp_path / "attack.pth"
    content = {"state_dict": WEIGHTS, "meta": Attack(tmp_path / "attacked")}
    torch.save(content, path, _use_new_zipfile_serialization=has_zip)
    with pytest.raises(CheckpointError, match=r"only tensors and plain data are loaded, for safety"):
        read_checkpoint(path)
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        b"\xff\xd8\xff\xe0 JFIF",
        pickle.dumps({"state_dict": 3}),
        b"\x80\x02" + bytes(range(200)),
    ],
)
def test_file_of_another_format_is_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other\.pth cannot be loaded as a checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [[1], {"state_dict": {}}, {"state_dict": 3}, {"epoch": 3}, {1: torch.ones(1)}])
def test_file_without_weights_is_refused(tmp_path, content):
    with pytest.raises(CheckpointError, match="it holds no model's state_dict"):
        read_checkpoint(save(tmp_path / "other.pth", content))


def test_damage_anywhere_is_refused_or_harmless(tmp_path):
    original = save(tmp_path / "whole.pth", {"state_dict": WEIGHTS, "meta": {"epoch": 3}}).read_bytes()
    path, rng, num_refused = tmp_path / "damaged.pth", np.random.default_rng(0), 0
    for _ in range(150):
        damaged = bytearray(original)
        for place in rng.integers(len(damaged), size=5):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_checkpoint(path)
        except CheckpointError:
            num_refused += 1
    assert num_refused > 50


def test_half_a_file_is_refused(tmp_path):
    path = save(tmp_path / "half.pth", {"state_dict": WEIGHTS})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path)


def test_path_must_be_a_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"The checkpoint file .*none\.pth does not exist"):
        locate_checkpoint(tmp_path / "none.pth")
    with pytest.raises(MissingFileError, match="is a folder"):
        locate_checkpoint(tmp_path)


def test_note_is_read_where_the_run_wrote_it_and_after_a_move(tmp_path):
    assert read_note(tmp_path) is None
    (tmp_path / "last_checkpoint").write_text("/old/place/epoch_2.pth\n")
    assert read_note(tmp_path) == Path("/old/place/epoch_2.pth")
    (tmp_path / "epoch_2.pth").touch()
    assert read_note(tmp_path) == tmp_path / "epoch_2.pth"
    (tmp_path / "last_checkpoint").write_text("")  # killed while writing it
    assert read_note(tmp_path) is None


@pytest.mark.parametrize("lacking", ["optimizer", "message_hub", "param_schedulers", "meta"])
def test_published_file_cannot_be_resumed(tmp_path, lacking):
    whole = {"optimizer": {}, "message_hub": {}, "param_schedulers": [], "meta": {"epoch": 1, "iter": 2}}
    check_resumable(whole, tmp_path)
    part = {name: value for name, value in whole.items() if name != lacking}
    with pytest.raises(CheckpointError, match=f"it has no {lacking}.*: to start from its weights, pass --load-from"):
        check_resumable(part, tmp_path)
