"""The system's count of page faults tells whether freed memory is used again."""

import subprocess
import sys

import pytest

from rtmo_plugin.data.transforms import memory

# In its own process, for the setting stays, and without the package, which sets it.
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
