"""What takes seconds to make is made once for all processes of a run of the tests."""

import fcntl
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

_Made = TypeVar("_Made")


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], _Made]) -> _Made:
    """Return what ``make`` returns for a new folder, in the process that asks first; others wait, and read it.

    Args:
        factory: Maker of pytest's folders.
        name: Name of the folder, the same in all processes.
        make: Function that fills the folder, and returns what pickle can store. No test changes the folder.
    """
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # the folder of a worker, else of the run
    folder, result = base / "made_once" / name, base / "made_once" / f"{name}.pickle"
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
            folder.mkdir()
            result.write_bytes(pickle.dumps(make(folder)))
    made: _Made = pickle.loads(result.read_bytes())
    return made
