"""What every test gets: few threads, a fixed seed, the real images where they are, and tiny models made once."""

import gc
import os
import random
import runpy
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_threads = max(1, (os.cpu_count() or 1) // _workers)
os.environ.setdefault("OMP_NUM_THREADS", str(_threads))  # read when torch is imported, so before it
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # of deterministic runs on GPUs, read once in a process

ROOT = Path(__file__).resolve().parents[1]
_startup = ROOT / "tests/startup"  # and this package, for each Python that a test starts in any folder
runpy.run_path(str(_startup / "sitecustomize.py"))  # this process has started without it
os.environ["PYTHONPATH"] = os.pathsep.join([str(_startup), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="rtmo_state_")  # hashes of files that tests export

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from rtmo_plugin import workarounds  # noqa: E402

workarounds.apply()  # tests import mmpose as the oracle
gc.freeze()  # what was imported stays: no collection has to search it

# A fixture of a session is made again in each file that imports it, but once for all that find it here.
from tests.tiny_files import checkpoint_model, files, tiny_file, tiny_model, trained_file  # noqa: E402, F401
from tests.tiny_runs import _leave_configs_unformatted, algorithms_kept, config, data_root, trained  # noqa: E402, F401

sys.path.append(str(ROOT / "tools"))  # as Python does for a tool; tests run tools within this process
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Start every test from the same random state, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (the transforms of MMCV and MMPose draw from the global generator)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _keep_what_openvino_compiles(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let OpenVINO compile a file once a process: hundreds of tests open the same few, for a second or two each."""
    if find_spec("openvino"):
        from rtmo_plugin.runtime.engines.openvino_runtime import get_core

        get_core().set_property({"CACHE_DIR": str(tmp_path_factory.mktemp("openvino"))})


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real images, or skip: ``RTMO_DATA``, else ``shared/data`` beside the repository."""
    folder = Path(os.environ.get("RTMO_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}; name their folder in RTMO_DATA")
    return folder


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: an archive holds the time it was made at, and all workers need the same names."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked ``gpu`` where there is none."""
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)


def run_command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run ``rtmo`` in this process, and return its exit code, stdout and stderr."""
    from rtmo_plugin.cli.main import main

    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as error:
        code = error.code or 0
    printed = capsys.readouterr()
    return code, printed.out, printed.err
