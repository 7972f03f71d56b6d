"""Shared memory that the workers of a data loader use for one batch after another.

PyTorch's own way maps each tensor again: in both processes every page of every batch is met for the first time, cleared
and given back. Here a worker has slots: it writes a batch into a free one and sends its number. The process that trains
maps each slot once. A slot is free again when the last tensor of its batch is gone there, however long that takes.

The memory has no name. It disappears with the processes, even if they are killed, and does not count against the size
of ``/dev/shm``.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

from rtmo_plugin.packed_batch import Layout, measure_layout, split_tensors

_HEADER_BYTES = 64  # before the tensors; the first byte is 1 while the batch is in use
_GRAIN = 2**20
_MOST_SLOTS = 16  # of a worker; a program that keeps more batches gets the others in PyTorch's way

Memory = NDArray[np.uint8]


@dataclass
class Slot:
    """A slot in the worker that writes it.

    Attributes:
        number: Number of the slot in this worker.
        memory: Mapped memory with the header.
        descriptor: File descriptor of the memory until the other process has it; None afterwards.
    """

    number: int
    memory: Memory
    descriptor: int | None

    @property
    def is_free(self) -> bool:
        """Whether its batch is not used any more."""
        return not self.memory[0]

    def view(self, layout: Layout) -> list[Tensor]:
        """Return tensors of these types and shapes in the memory."""
        return split_tensors(torch.from_numpy(self.memory[_HEADER_BYTES:]), layout)


class SentBatch:
    """A batch in a slot, which another process unpickles as ``rebuild(tensors, *arguments)``.

    Args:
        slot: Slot with the tensors; it is in use from now on.
        layout: Types and shapes of the tensors.
        rebuild: Function of a module.
        arguments: Further arguments of it.
    """

    def __init__(self, slot: Slot, layout: Layout, rebuild: Callable[..., Any], *arguments: Any) -> None:
        descriptor, slot.descriptor = slot.descriptor, None
        handle = None
        if descriptor is not None:
            handle = DupFd(descriptor)
            os.close(descriptor)
        slot.memory[0] = 1
        self._state = (os.getpid(), slot.number, len(slot.memory), handle, layout, rebuild, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return _receive, self._state


_own_slots: list[Slot] = []  # of this worker
_preparations: list[Callable[[Memory], None]] = []  # what is done with a slot where it is mapped
_mapped: dict[tuple[int, int], Memory] = {}  # in the process that trains, by worker and number
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mapped.clear)  # a worker would keep the memory of other workers


def pin_slots() -> None:
    """Let CUDA read the slots of loaders with ``pin_memory`` where they are: no batch is copied into pinned memory.

    CUDA does not know when a slot is written again: code that copies a batch to a GPU without waiting has to keep it
    until the copy is done, as ``PackedDataPreprocessor`` does with ``copies_aside``. Slots that are mapped already are
    not pinned.
    """
    if _register not in _preparations:
        _preparations.append(_register)


def _register(memory: Memory) -> None:
    """Pin the memory of a slot until it is unmapped, if the system permits it."""
    if threading.current_thread() is threading.main_thread():  # a loader without ``pin_memory``
        return
    runtime: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]  # torch does not annotate it
    place = memory.ctypes.data
    if int(runtime.cudaHostRegister(place, memory.nbytes, 0)):
        _preparations.remove(_register)
        warnings.warn(
            "CUDA cannot pin the memory of the data loader's workers, so each batch is copied once more: raise the "
            "limit of locked memory (ulimit -l).",
            stacklevel=2,
        )
        return
    weakref.finalize(memory, _unregister, runtime, place, os.getpid()).atexit = False


def _unregister(runtime: Any, place: int, process: int) -> None:
    if os.getpid() == process:  # a forked process lets go of its copies, and CUDA cannot be called there
        runtime.cudaHostUnregister(place)


def take_slot(layout: Layout) -> Slot | None:
    """Return a free slot with room for tensors of these types and shapes.

    Returns:
        The slot; None outside of a data loader's worker, where the system has no unnamed memory (it is not Linux), and
        where all slots are in use.
    """
    if get_worker_info() is None or not hasattr(os, "memfd_create"):
        return None
    num_bytes = _HEADER_BYTES + measure_layout(layout)
    free = [slot for slot in _own_slots if slot.is_free]
    slot = next((slot for slot in free if len(slot.memory) >= num_bytes), None)
    if slot is None and free:  # too small
        slot = _own_slots[free[0].number] = _make_slot(free[0].number, num_bytes)
        if free[0].descriptor is not None:
            os.close(free[0].descriptor)
    elif slot is None and len(_own_slots) < _MOST_SLOTS:
        slot = _make_slot(len(_own_slots), num_bytes)
        _own_slots.append(slot)
    return slot


def _make_slot(number: int, num_bytes: int) -> Slot:
    size = -(-num_bytes * 9 // 8 // _GRAIN) * _GRAIN  # room for more people; untouched pages cost nothing
    descriptor = os.memfd_create("rtmo_plugin batch")
    os.ftruncate(descriptor, size)
    return Slot(number, _map(descriptor, size), descriptor)


def _map(descriptor: int, size: int) -> Memory:
    return np.frombuffer(mmap.mmap(descriptor, size), dtype=np.uint8)


def _receive(
    worker: int,
    number: int,
    size: int,
    handle: Any,
    layout: Layout,
    rebuild: Callable[..., Any],
    arguments: Sequence[Any],
) -> Any:
    """Return what ``rebuild`` makes of the tensors in a slot, which is free when they are gone."""
    if handle is not None:
        if not any(key[0] == worker for key in _mapped):
            for process in multiprocessing.active_children():
                if process.pid == worker:
                    weakref.finalize(process, _forget, worker).atexit = False
        descriptor = handle.detach()
        memory = _mapped[worker, number] = _map(descriptor, size)
        os.close(descriptor)
        for prepare in tuple(_preparations):
            prepare(memory)
    memory = _mapped[worker, number]
    lease = memory[_HEADER_BYTES:]  # an object that lives as long as the storage of the tensors
    weakref.finalize(lease, _release, memory, os.getpid()).atexit = False
    return rebuild(split_tensors(torch.from_numpy(lease), layout), *arguments)


def _release(memory: Memory, process: int) -> None:
    if os.getpid() == process:  # a forked process has copies of the tensors, but not the batch
        memory[0] = 0


def _forget(worker: int) -> None:
    """Unmap the slots of a worker that has ended, except for batches that are still in use."""
    for key in [key for key in _mapped if key[0] == worker]:
        del _mapped[key]
