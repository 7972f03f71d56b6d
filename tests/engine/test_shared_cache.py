"""One image cache for two training processes of a machine, and one each on two machines."""

import os

import numpy as np
import pytest
from mmengine.config import Config
from torch import distributed

from rtmo_plugin.data.transforms.image_cache import ImageCache, find_cache
from rtmo_plugin.engine import shared_cache
from rtmo_plugin.errors import ConfigError
from tests.engine.test_distribution import start

SIZE = 3 * 2**20
IMAGES = {name: np.full((60, 80, 3), value, np.uint8) for value, name in enumerate("ab")}


def make_config(cache_bytes):
    loader = {"type": "rtmo_plugin.LoadImage", "cache_bytes": cache_bytes}
    return Config({"train_dataloader": {"dataset": {"pipeline": [loader]}}})


def share(cache_bytes=SIZE):
    distributed.init_process_group("gloo")
    shared_cache.share_image_cache(make_config(cache_bytes))
    return find_cache(cache_bytes)


def check_one_cache(rank):
    cache = share()
    cache.add("ab"[rank], IMAGES["ab"[rank]])
    distributed.barrier()
    for name, image in IMAGES.items():
        assert np.array_equal(cache.find(name), image)
    cache.add("a", IMAGES["b"])  # stored already
    distributed.barrier()
    assert int(cache._counts[0]) == 2
    files = [None, None]
    distributed.all_gather_object(files, os.fstat(cache._descriptor).st_ino)
    assert files[0] == files[1]
    distributed.destroy_process_group()


def check_two_machines(rank):
    shared_cache._describe_machine = lambda: ("machine", str(rank))
    cache = share()
    cache.add("ab"[rank], IMAGES["ab"[rank]])
    distributed.barrier()
    assert cache.find("ab"[1 - rank]) is None
    assert int(cache._counts[0]) == 1
    distributed.destroy_process_group()


def check_no_room(rank):
    with pytest.raises(ConfigError, match=r"No room for an image cache of 1152921504606846976 bytes"):
        share(2**60)
    distributed.destroy_process_group()


@pytest.mark.parametrize("check", [check_one_cache, check_two_machines, check_no_room])
def test_two_processes(check):
    assert start(check) == [0, 0]


def test_memory_of_an_ended_process_is_one_sentence():
    cache = ImageCache(SIZE)
    address = cache.address
    joined = ImageCache.join(address, SIZE)
    cache.add("a", IMAGES["a"])
    assert np.array_equal(joined.find("a"), IMAGES["a"])
    del cache, joined
    with pytest.raises(ConfigError, match=r"image cache of another training process .* cannot be opened"):
        ImageCache.join(address, SIZE)
