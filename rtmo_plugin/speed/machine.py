"""The machine that times belong to: processor, GPU, versions of packages, peak memory of this process."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rtmo_plugin.runtime.engines.engine import count_cores

_PACKAGES = (
    *(
        "numpy",
        "opencv-python",
        "torch",
        "onnxruntime",
        "openvino",
        "ncnn",
        "ai-edge-litert",
        "executorch",
        "mmengine",
        "mmpose",
        "rtmlib",
    ),
    *("xtcocotools", "faster-coco-eval", "rtmo-plugin"),
)
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes; what getrusage counts in


def describe_hardware() -> dict[str, str]:
    """Return the processor, the cores that this process may use, the GPU and the system."""
    return {
        "processor": _read_processor(),
        "cores": str(count_cores()),
        "gpu": _read_gpu(),
        "system": platform.platform(),
    }


def _read_processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _read_gpu() -> str:
    """Return the name of the first GPU by NVIDIA's program, since a light installation has no torch to ask."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "none"
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    names = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return names[0].strip() if names else "none"


def describe_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that matter for speed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def read_peak_memory() -> int | None:
    """Return the peak resident memory of this process in MiB, or None where the system does not tell it.

    On Linux it is read from ``/proc``: ``getrusage`` counts what the parent process had at its start, too.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        peak = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"), re.MULTILINE)
        return int(peak[1]) >> 10 if peak else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT >> 20
