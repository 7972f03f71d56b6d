"""A model in a process of its own: its peak memory, and the time until the first people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtmo_plugin.errors import DataError
from rtmo_plugin.media.drawing import Image

_PROGRAM = """
from time import perf_counter
start = perf_counter()
import json, sys
from rtmo_plugin.pose.pose import open_model
imported = perf_counter()
import numpy
given = json.loads(sys.argv[1])
if given["torch_threads"]:
    import torch
    torch.set_num_threads(given["torch_threads"])
options = {name: tuple(value) if isinstance(value, list) else value for name, value in given["options"].items()}
model = open_model(given["model"], given["config"], given["score_thr"], options)
image = numpy.load(given["image"])
model.predict_batch([image])
first = perf_counter()
model.predict_batch([image])
from rtmo_plugin.speed.machine import read_peak_memory
print(json.dumps([imported - start, first - start, read_peak_memory()]))
"""


@dataclass(frozen=True)
class FreshRun:
    """A model in a new process.

    Attributes:
        import_s: Seconds until the package is imported.
        first_people_s: Seconds until the people in the first image are found; the import is part of it.
        peak_memory_mib: Peak resident memory, or None where the system does not tell it.
    """

    import_s: float
    first_people_s: float
    peak_memory_mib: int | None


def run_in_fresh_process(
    model: str | Path,
    image: Image,
    options: Mapping[str, Any],
    *,
    config: str | Path | None = None,
    score_thr: float = 0.3,
    torch_threads: int | None = None,
) -> FreshRun:
    """Open a model in a new process and find the people in an image twice.

    Args:
        model: Exported file, checkpoint or published name, as ``Pose`` takes it.
        image: (H, W, 3) BGR.
        options: Options of ``Pose``.
        config: Config of a checkpoint.
        score_thr: Score above which people are returned.
        torch_threads: CPU threads of PyTorch, for checkpoints. Default: PyTorch's own number.

    Raises:
        DataError: The process failed; the message ends with its last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "image.npy")
        np.save(file, image)
        given = {
            "model": str(model),
            "config": None if config is None else str(config),
            "score_thr": score_thr,
            "options": dict(options),
            "torch_threads": torch_threads,
            "image": str(file),
        }
        package = str(Path(__file__).resolve().parents[2])  # also where it runs from a clone that is not installed
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, json.dumps(given)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        words = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise DataError(f"{model} does not run in a process of its own: {words}")
    return FreshRun(*json.loads(done.stdout.splitlines()[-1]))
