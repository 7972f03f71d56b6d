"""Freed memory is reused, which the number of page faults shows, and only training sets this."""

import subprocess
import sys

import pytest

from rtmo_plugin.engine import memory

# In a separate process, because the setting is permanent.
CALLS = """
import pickle, sys

calls = []
sys.addaudithook(lambda event, values: calls.append(values[1]) if event == "ctypes.dlsym" else None)
import rtmo_plugin.api, rtmo_plugin.data.transforms, rtmo_plugin.engine.hooks, rtmo_plugin.registry
print(calls.count("mallopt"))

from mmengine.config import Config
from rtmo_plugin.engine.runner import QuietRunner, build_runner
dataset = {"type": "rtmo_plugin.SyntheticPeople", "num_images": 4, "seed": 0, "pipeline": []}
sampler = {"type": "DefaultSampler", "shuffle": True}
options = {"batch_size": 2, "num_workers": 1, "dataset": dataset, "sampler": sampler}
loader = QuietRunner.build_dataloader(options, seed=1)
set_up = pickle.loads(pickle.dumps(loader.worker_init_fn))
print(set_up.inner.keywords["seed"])
import cv2
cv2.setNumThreads(4)
set_up(0)
assert cv2.getNumThreads() == 1, cv2.getNumThreads()
print(calls.count("mallopt"))

model = {"type": "rtmo_plugin.RTMOHead", "keypoints": "coco", "widen_factor": 0.125}
build_runner(Config({"model": model, "work_dir": sys.argv[1]}))
print(calls.count("mallopt"))
"""

COUNT_FAULTS = f"""
import resource, runpy
import numpy as np
assert runpy.run_path({memory.__file__!r})["keep_freed_memory"]()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(50_000_000, dtype=np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc, the C library of Linux")
def test_freed_memory_is_used_again():
    run = subprocess.run([sys.executable, "-c", COUNT_FAULTS], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 100  # 50 MB are 12,000 pages, or some 450 faults where the system hands out huge ones


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc, the C library of Linux")
def test_runner_and_workers_set_it_and_imports_do_not(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", CALLS, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    after_imports, seed, after_worker, after_runner = map(int, run.stdout.split()[-4:])
    assert (after_imports, seed, after_worker, after_runner) == (0, 1, 1, 2)
