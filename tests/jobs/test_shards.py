"""The work of a job: what it consists of, and how it is cut."""

import numpy as np
import pytest

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.jobs.shards import Shard, list_inputs, make_shards


@pytest.mark.parametrize(
    ("names", "size", "shards"),
    [
        ([], 2, []),
        (["a.jpg", "b.jpg", "c.jpg"], 2, [(0, ("a.jpg", "b.jpg"), False), (2, ("c.jpg",), False)]),
        (["a.mp4", "b.AVI"], 9, [(0, ("a.mp4",), True), (1, ("b.AVI",), True)]),
        (["a", "b.mp4", "c"], 9, [(0, ("a",), False), (1, ("b.mp4",), True), (2, ("c",), False)]),
    ],
)
def test_shards_are_runs_of_images_and_single_videos(names, size, shards):
    assert make_shards(names, size) == [Shard(number, *values) for number, values in enumerate(shards)]


def test_shards_travel_whatever_their_names_are():
    shard = Shard(3, 7, ("a b\nc.jpg", "\udce4.png", "人.png"), False)
    assert Shard.from_json(shard.to_json()) == shard


def test_names_are_those_that_pose_takes(folder, tmp_path):
    names = [str(folder / name) for name in ("0.png", "4.avi")]
    everything = sorted(str(path) for path in folder.iterdir())
    assert list_inputs(folder) == everything
    assert list_inputs(str(folder / "[04].*")) == [*names, str(folder / "4.png")]
    assert list_inputs([folder, *names, "gone.jpg", "no/*.jpg"]) == [*everything, *names, "gone.jpg", "no/*.jpg"]
    (tmp_path / "list.txt").write_text("\n".join([*names, "", "https://example.org/c.jpg"]))
    assert list_inputs(tmp_path / "list.txt") == [*names, "https://example.org/c.jpg"]


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("gone.jpg", MissingFileError, "The image, video or folder gone.jpg does not exist"),
        ("gone/*.jpg", MissingFileError, "No file matches the pattern"),
        ("gone.txt", MissingFileError, "The list of images cannot be read: The file gone.txt does not exist"),
        ([], MissingFileError, "the list of images and videos is empty"),
        (0, DataError, "0 cannot be processed in a job"),
        (["rtsp://camera/1"], DataError, "rtsp://camera/1 cannot be processed in a job"),
        ([np.zeros((4, 4, 3), np.uint8)], DataError, "ndarray cannot be processed in a job"),
    ],
)
def test_what_is_no_work_is_refused(source, error, words):
    with pytest.raises(error, match=words):
        list_inputs(source)
