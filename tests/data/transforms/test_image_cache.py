"""Decoded images are kept once for all processes, within their bytes."""

import copy
import multiprocessing
import os
import pickle

import cv2
import mmpose.datasets  # noqa: F401  (registers the transforms)
import numpy as np
import pytest
from mmpose.registry import TRANSFORMS

from rtmo_plugin.data.transforms.image_cache import ImageCache, NoCache, find_cache
from rtmo_plugin.errors import ConfigError

MEGABYTE = 2**20


def make_image(seed, size_wh=(80, 60)):
    return np.random.default_rng(seed).integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)


def test_images_come_back_and_cannot_be_written_to():
    cache = ImageCache(MEGABYTE)
    assert cache.find("a") is None
    cache.add("a", make_image(0))
    cache.add("b", make_image(1, (40, 50)))
    np.testing.assert_array_equal(cache.find("a"), make_image(0))
    np.testing.assert_array_equal(cache.find("b"), make_image(1, (40, 50)))
    assert cache.find_shape("b") == (50, 40)
    with pytest.raises(ValueError, match="read-only"):
        cache.find("a")[0] = 0


def test_memory_is_bounded_and_what_came_first_stays():
    cache = ImageCache(MEGABYTE)
    for index in range(200):
        cache.add(str(index), make_image(index))
    kept = [index for index in range(200) if cache.find(str(index)) is not None]
    assert 0 < len(kept) <= MEGABYTE // make_image(0).nbytes
    assert kept == list(range(len(kept)))
    np.testing.assert_array_equal(cache.find(str(kept[-1])), make_image(kept[-1]))
    blocks = 512  # what the system counts the file's memory in
    assert os.fstat(cache._descriptor).st_blocks * blocks <= MEGABYTE


def add_half(cache, start):
    for index in range(start, 20, 2):
        cache.add(str(index), make_image(index))
    same = [np.array_equal(cache.find(str(index)), make_image(index)) for index in range(start, 20, 2)]
    os._exit(0 if all(same) else 1)


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_processes_share_it(method):
    """Two processes write at the same time; this one finds all of it, and one copy of each."""
    context = multiprocessing.get_context(method)
    cache = ImageCache(2 * MEGABYTE)
    cache.add("0", make_image(0))
    workers = [context.Process(target=add_half, args=(cache, start)) for start in (0, 1, 0)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert int(cache._counts[0]) == 20
    for index in range(20):
        np.testing.assert_array_equal(cache.find(str(index)), make_image(index))


def test_nothing_is_left_on_disk(tmp_path):
    cache = ImageCache(MEGABYTE, tmp_path)
    cache.add("a", make_image(0))
    assert list(tmp_path.iterdir()) == []


def test_loaders_share_one_cache_and_read_a_file_once(tmp_path):
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), make_image(3))
    first, second = (TRANSFORMS.build({"type": "rtmo_plugin.LoadImage", "cache_bytes": 3 * MEGABYTE}) for _ in "ab")
    expected = TRANSFORMS.build({"type": "LoadImage"})({"img_path": str(path)})
    loaded = first({"img_path": str(path)})
    path.unlink()
    for loader in (second, copy.deepcopy(second)):
        again = loader({"img_path": str(path)})
        np.testing.assert_array_equal(again["img"], expected["img"])
        assert loader.read_shape({"img_path": str(path)})["img_shape"] == (60, 80)
        assert {key: value for key, value in again.items() if key != "img"} == {
            key: value for key, value in expected.items() if key != "img"
        }
    np.testing.assert_array_equal(loaded["img"], expected["img"])


def test_without_a_cache_a_file_is_read_each_time(tmp_path):
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), make_image(3))
    loader = TRANSFORMS.build({"type": "rtmo_plugin.LoadImage"})
    loader({"img_path": str(path)})
    path.unlink()
    with pytest.raises(FileNotFoundError):
        loader({"img_path": str(path)})
    assert isinstance(pickle.loads(pickle.dumps(loader))._cache, NoCache)


@pytest.mark.parametrize("size", [-1, 100, 1.5])
def test_wrong_sizes_are_named(size):
    with pytest.raises(ConfigError, match=f"cache_bytes must be a whole number.*got {size}"):
        find_cache(size)


def test_no_room_is_reported():
    with pytest.raises(ConfigError, match="No room for an image cache of 1152921504606846976 bytes"):
        find_cache(2**60)
