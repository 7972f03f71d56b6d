"""Batches in memory that workers use again: never overwritten while in use, and gone with the loader."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from rtmo_plugin.data import batch_slots
from rtmo_plugin.data.batch_collation import pack_batch
from tests.oracle import make_samples

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memfd_create, unnamed memory of Linux")
ROOT = Path(__file__).parents[2]
SIZE_WH = (48, 32)
BROKEN, FATAL = 13, 17


class Records(Dataset):
    """Images of one value, which is their number, with as many people."""

    def __init__(self, numbers, size_wh=SIZE_WH):
        self.numbers, self.size_wh = list(numbers), size_wh

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        number = self.numbers[index]
        if number == BROKEN:
            raise ValueError("13.jpg is broken")
        if number == FATAL:
            os.kill(os.getpid(), signal.SIGKILL)
        width, height = self.size_wh
        (sample,) = make_samples([number % 4], 17, self.size_wh, seed=number)
        sample.set_metainfo({"img_path": f"{number}.jpg"})
        return {"inputs": torch.full((3, height, width), number, dtype=torch.uint8), "data_samples": sample}


def make_loader(numbers, num_workers=1, size_wh=SIZE_WH, **options):
    return DataLoader(
        Records(numbers, size_wh), batch_size=2, num_workers=num_workers, collate_fn=pack_batch, **options
    )


def check(batch, numbers):
    """Check that a batch is that of these images."""
    expected = pack_batch([Records([number])[0] for number in numbers])
    assert torch.equal(batch["inputs"], expected["inputs"])
    for name, value in vars(expected["data_samples"].people).items():
        assert torch.equal(getattr(batch["data_samples"].people, name), value), name
    assert batch["data_samples"].names == [f"{number}.jpg" for number in numbers]


def count_mapped():
    return Path("/proc/self/maps").read_text().count("memfd:rtmo_plugin")


@pytest.mark.parametrize(
    "options",
    [{"num_workers": 2}, {"num_workers": 2, "persistent_workers": True, "prefetch_factor": 3}],
    ids=["new workers", "persistent"],
)
def test_batches_of_two_epochs_in_the_same_memory(options):
    loader = make_loader([0, 1, 2, 3, 5, 6, 7, 8, 9], **options)  # the last batch is smaller
    for _ in range(2):
        for number, batch in enumerate(loader):
            check(batch, loader.dataset.numbers[2 * number : 2 * number + 2])
    assert number == 4


def test_spawned_workers_have_slots_too():
    batches = list(make_loader([1, 2, 3], multiprocessing_context="spawn"))
    assert count_mapped() >= 1
    check(batches[0], [1, 2])
    check(batches[1], [3])


def test_memory_is_used_again():
    places = set()
    batch = None
    for batch in make_loader(range(12)):
        places.add(batch["inputs"].data_ptr())
    assert len(places) <= 4  # two that the loader has ahead, the one in use, and the one before
    check(batch, [10, 11])


def test_batches_that_are_kept_stay_as_they_were():
    numbers = [number % 10 for number in range(48)]  # more batches than a worker has slots
    parts = [batch["inputs"][1, 0] for batch in make_loader(numbers)]  # views keep their batch
    assert [int(part.unique()) for part in parts] == numbers[1::2]
    assert len({part.data_ptr() for part in parts}) == 24


def test_slots_grow_with_the_batches():
    loader = make_loader([1, 2] * 6)
    small = sum(1 for _ in loader)
    loader.dataset.size_wh = (640, 640)
    for batch in loader:
        assert batch["inputs"].shape == (2, 3, 640, 640)
        assert batch["inputs"][1].unique().tolist() == [2]
    assert small == 6


def test_a_worker_replaces_slots_that_are_too_small(monkeypatch):
    monkeypatch.setattr(batch_slots, "get_worker_info", lambda: True)
    monkeypatch.setattr(batch_slots, "_own_slots", [])
    layouts = [[(torch.uint8, torch.Size([size]))] for size in (10, 2**21, 10)]
    slots = [batch_slots.take_slot(layout) for layout in layouts]
    assert [slot.number for slot in slots] == [0, 0, 0]
    assert len(slots[0].memory) < len(slots[1].memory) == len(slots[2].memory)
    slots[2].memory[0] = 1  # in use
    assert batch_slots.take_slot(layouts[0]).number == 1
    for slot in batch_slots._own_slots:
        os.close(slot.descriptor)


def test_two_loaders_at_once():
    first, second = make_loader(range(1, 9)), make_loader([20, 21, 22, 23, 24, 25, 26, 27])
    for number, (one, other) in enumerate(zip(first, second)):
        check(one, [2 * number + 1, 2 * number + 2])
        check(other, [20 + 2 * number, 21 + 2 * number])
    assert number == 3


def test_errors_in_a_worker_do_not_cost_slots():
    iterator = iter(make_loader([1, BROKEN] * 20 + [2, 3]))
    for _ in range(20):
        with pytest.raises(ValueError, match=r"13\.jpg is broken"):
            next(iterator)
    check(next(iterator), [2, 3])


def test_nothing_stays_mapped():
    multiprocessing.active_children()  # lets go of workers of other tests that have ended
    gc.collect()
    before = count_mapped()
    loader = make_loader(range(8), num_workers=2, persistent_workers=True)
    kept = next(iter(loader))
    assert count_mapped() > before
    del loader
    gc.collect()
    assert count_mapped() == before + 1
    check(kept, [0, 1])
    del kept
    assert count_mapped() == before


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_does_not_unpin_what_this_one_has_pinned(monkeypatch):
    calls = []
    runtime = SimpleNamespace(cudaHostRegister=lambda *_: 0, cudaHostUnregister=calls.append)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
    memory = batch_slots._mapped[0, 0] = np.zeros(64, np.uint8)
    place = memory.ctypes.data
    thread = Thread(target=batch_slots._register, args=[memory])  # as that of a loader with ``pin_memory``
    thread.start()
    thread.join()
    del thread, memory  # so that the last reference goes when a worker is forked
    gc.collect()
    assert count_in_fork(lambda: len(batch_slots._mapped)) == 0
    assert count_in_fork(lambda: len(calls)) == 0
    assert calls == []
    batch_slots._mapped.clear()
    assert calls == [place]


def count_in_fork(count):
    """Return what ``count`` gives in a process that was forked from this one."""
    process = os.fork()
    if not process:
        os._exit(count())
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_killed_worker_and_a_killed_process_leave_nothing():
    script = """
        import gc, os, signal
        from tests.data.test_batch_slots import FATAL, count_mapped, make_loader
        try:
            for batch in make_loader([1, 2, 3, 4, FATAL, 5]):
                pass
        except (RuntimeError, ConnectionError) as error:  # the latter while an earlier batch is taken
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler may find the worker a second time
            print(isinstance(error, ConnectionError) or "DataLoader worker" in str(error))
        batch = None
        gc.collect()
        print(count_mapped())
        iterator = iter(make_loader(range(100)))
        next(iterator)
        print(count_mapped())
        print(*os.listdir("/dev/shm"), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    before = set(os.listdir("/dev/shm"))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    caught, left, mapped, *names = done.stdout.splitlines()
    assert (caught, left) == ("True", "0")
    assert int(mapped) >= 1
    assert not [name for name in set(" ".join(names).split()) - before if "rtmo" in name]
