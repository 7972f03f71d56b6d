"""Reading in threads: ahead of the caller, or only the newest item of a live source."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import repeat, takewhile
from queue import Empty, Queue
from threading import Event
from typing import Any, TypeVar

_POLL_S = 0.1

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_ahead(
    pool: Executor, function: Callable[[_Item], _Result], items: Iterable[_Item], ahead: int
) -> Iterator[_Result]:
    """Yield ``function`` of each item in order, while a pool works on the next ``ahead`` items."""
    waiting: deque[Future[_Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    for future in waiting:
        yield future.result()


def read_ahead(items: Iterator[_Item], num_ahead: int) -> Iterator[_Item]:
    """Yield the items of an iterator, which a thread takes ``num_ahead`` items before they are asked for."""
    end: Any = object()
    with ThreadPoolExecutor(1) as reader:
        taken = map_ahead(reader, lambda _: next(items, end), repeat(None), num_ahead)
        yield from takewhile(lambda item: item is not end, taken)


def keep_latest(items: Iterator[_Item]) -> Iterator[_Item]:
    """Yield the newest item that a thread has taken from an iterator, and finally the last one."""
    waiting: Queue[_Item] = Queue(1)
    is_over = Event()

    def fill() -> None:
        for item in items:
            with suppress(Empty):
                waiting.get_nowait()
            waiting.put(item)  # never waits: only this thread puts items in
            if is_over.is_set():
                return

    with ThreadPoolExecutor(1) as filler:
        filling = filler.submit(fill)
        try:
            yield from _take(waiting, filling)
        finally:
            is_over.set()


def _take(waiting: Queue[_Item], filling: Future[None]) -> Iterator[_Item]:
    """Yield the items of a queue until the thread that fills it has ended, and raise the thread's exception."""
    while True:
        is_last = filling.done()
        try:
            yield waiting.get(timeout=_POLL_S)
        except Empty:
            if is_last:
                break
    filling.result()
