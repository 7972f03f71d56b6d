"""MMPose imports and checkpoints load, with and without compiled mmcv, torchvision and new torch versions.

Most checks need a fresh interpreter, because imports cannot be taken back: ``run`` starts one.
"""

import ast
import importlib.util
import io
import os
import pkgutil
import subprocess
import sys
import textwrap
from collections import OrderedDict
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader, load_checkpoint

from rtmo_plugin import workarounds
from rtmo_plugin.errors import CheckpointError

is_lite = not list(Path(mmcv.__file__).parent.glob("_ext*"))
needs_lite = pytest.mark.skipif(not is_lite, reason="compiled mmcv is installed")
needs_compiled = pytest.mark.skipif(is_lite, reason="mmcv-lite is installed")


def run(code: str) -> str:
    """Run ``code`` in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_one_call_is_enough():
    """And missing packages are not imitated: MMEngine's environment report would list them."""
    code = """
        import sys
        from rtmo_plugin import workarounds
        workarounds.apply()
        import mmpose.visualization, mmpose.models, mmdet.models, mmpose.apis
        print([name for name in ("torchvision", "chumpy") if name in sys.modules])
    """
    assert run(code) == ("['torchvision']" if importlib.util.find_spec("torchvision") else "[]")


# Prints which of the patches that models do not need for their import are there.
REPORT = """
import warnings, torch
from mmengine.runner import CheckpointLoader
print([
    name
    for name, is_there in {
        "weights_only": hasattr(CheckpointLoader.load_checkpoint, "__wrapped__"),
        "history": "HistoryBuffer" in str(getattr(torch.serialization, "get_safe_globals", list)()),
        "warnings": any("cuda.amp" in str(message).replace("\\\\", "") for _, message, *_ in warnings.filters),
    }.items()
    if is_there
])
"""


def report(before: str) -> list[str]:
    """Return which of these patches are there after ``before``."""
    return ast.literal_eval(run(before + REPORT))


ALL = (
    ["weights_only", "history", "warnings"]
    if hasattr(torch.serialization, "get_safe_globals")
    else ["weights_only", "warnings"]
)


def test_import_of_workarounds_changes_nothing():
    code = """
import sys, rtmo_plugin.workarounds, mmengine.runner
print([name for name in sys.modules if name.startswith(("mmcv", "mmpose", "xtcocotools"))])
"""
    assert run(code + REPORT) == "[]\n[]"


def test_import_of_the_package_loads_neither_torch_nor_openmmlab():
    code = "import sys, rtmo_plugin; print([name for name in sys.modules if name.startswith(('torch', 'mm'))])"
    assert run(code) in ("[]", "['mmap']")


def test_other_projects_get_only_what_models_need_for_their_import():
    """MMEngine imports the package while it reads a config."""
    assert report("import mmengine.config, rtmo_plugin, mmpose.models, mmdet.models") == []


def test_first_class_of_ours_applies_the_rest():
    code = """
from mmengine.config import Config
import rtmo_plugin
from mmengine.registry import MODELS
assert MODELS.get("rtmo_plugin.RTMOHead")
"""
    assert report(code) == ALL


def test_old_programs_still_work():
    """Programs for version 0.1 import ``rtmo_plugin.compat`` for its effect."""
    code = """
import warnings
warnings.filterwarnings("always", ".*rtmo_plugin", DeprecationWarning)
warnings.showwarning = lambda message, category, *_: print(category.__name__, message)
import rtmo_plugin.compat, mmpose.models, mmdet.models
rtmo_plugin.compat.apply_workarounds()
"""
    *printed, patches = run(code + REPORT).splitlines()
    assert ast.literal_eval(patches) == ALL
    (sentence,) = [line for line in printed if "rtmo_plugin" in line]
    assert sentence.startswith("DeprecationWarning ")
    assert "write `from rtmo_plugin import workarounds` and `workarounds.apply()`" in sentence


@needs_lite
def test_upstream_still_needs_the_stand_in():
    """When this fails, the work-around can be removed."""
    with pytest.raises(AssertionError, match=r"mmcv\._ext"):
        run("import mmpose.models")


@needs_lite
def test_operator_without_compiled_mmcv_says_what_to_install():
    import mmcv.ops

    boxes, scores = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.ones(1)
    with pytest.raises(RuntimeError, match=r"'nms'.*needs compiled mmcv.*pip install.*mmcv==2\.1\.0"):
        mmcv.ops.nms(boxes, scores, 0.5)


@needs_lite
def test_stand_in_does_not_pretend_to_be_compiled():
    from mmcv.utils import collect_env
    from mmengine.utils.dl_utils import mmcv_full_available

    assert not mmcv_full_available()
    assert collect_env()["MMCV Compiler"] == "not compiled (mmcv-lite)"


@needs_compiled
def test_compiled_mmcv_is_left_alone():
    import mmcv.ops
    from mmcv.utils import ext_loader

    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
    _, kept = mmcv.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    assert kept.tolist() == [0, 2]
    assert ext_loader.check_ops_exist()
    assert sys.modules["mmcv._ext"].__file__


def test_simcc_visualizer_needs_torchvision_only_when_used():
    from mmpose.visualization.simcc_vis import SimCCVisualizer

    if importlib.util.find_spec("torchvision"):
        assert SimCCVisualizer.__module__ == "mmpose.visualization.simcc_vis"
    else:
        with pytest.raises(RuntimeError, match=r"SimCCVisualizer.*needs torchvision"):
            SimCCVisualizer()


def test_applying_twice_changes_nothing():
    load, extension = CheckpointLoader.load_checkpoint.__func__, sys.modules.get("mmcv._ext")
    unpickler = torch.serialization._weights_only_unpickler
    workarounds.apply()
    assert CheckpointLoader.load_checkpoint.__func__ is load
    assert sys.modules.get("mmcv._ext") is extension
    assert torch.serialization._weights_only_unpickler is unpickler


def test_python_without_find_loader(monkeypatch):
    """Python 3.14 removed it; MMEngine asks it for compiled mmcv in every optimizer construction."""
    from mmengine.utils.dl_utils import mmcv_full_available

    monkeypatch.delattr(pkgutil, "find_loader")
    with pytest.raises(AttributeError):
        mmcv_full_available()
    workarounds.apply()
    assert mmcv_full_available() is not is_lite
    assert pkgutil.find_loader("no_such_module") is None


def test_setuptools_without_pkg_resources():
    """setuptools 82 removed it; MMEngine asks it for package folders."""
    code = """
        import importlib.machinery, sys

        find_spec = importlib.machinery.PathFinder.find_spec
        importlib.machinery.PathFinder.find_spec = lambda name, *rest: (
            None if name == "pkg_resources" else find_spec(name, *rest)
        )
        from rtmo_plugin import workarounds
        workarounds.apply()
        import mmpose.apis, mmpose
        from mmengine.config import Config
        from mmengine.utils import get_installed_path, is_installed
        assert "pkg_resources" not in sys.modules
        assert get_installed_path("mmpose") == mmpose.__path__[0], get_installed_path("mmpose")
        assert get_installed_path("opencv-python").endswith("cv2")
        assert is_installed("mmengine") and not is_installed("no-such-package")
        try:
            get_installed_path("no-such-package")
        except ImportError as error:
            print(error)
    """
    assert "no-such-package" in run(code)


def test_a_config_is_formatted_once(monkeypatch):
    """MMEngine asks yapf again for each checkpoint, log and copy."""
    asked = []

    def format_code(text, style_config, verify=True):
        asked.append(text)
        return text.upper(), True

    monkeypatch.setattr("mmengine.config.config.FormatCode", format_code)
    workarounds.apply()
    config = Config({"first": 1})
    assert [config.pretty_text for _ in range(3)] == ["FIRST=1"] * 3
    assert len(asked) == 1
    config.first = 2
    assert config.pretty_text == "FIRST=2"


# ---------------------------------------------------------------- checkpoints


@pytest.fixture
def checkpoint() -> dict:
    """Return what MMEngine's Runner saves: weights, meta, and a message hub with log histories."""
    hub = MessageHub("test")
    for value in (1.5, 2.5):
        hub.update_scalar("train/loss", value)
    hub.update_info("best", np.float64(0.5))
    hub.update_info("sigmas", np.arange(3, dtype=np.float32))
    meta = dict(epoch=3, dataset_meta=dict(flip=(0, 2, 1), names=np.array(["nose", "eye"])))
    return dict(meta=meta, state_dict=torch.nn.Linear(2, 3).state_dict(), message_hub=hub.state_dict())


@pytest.mark.parametrize("is_zip", [True, False])
def test_mmengine_checkpoint_loads(tmp_path, checkpoint, is_zip):
    torch.save(checkpoint, tmp_path / "epoch_3.pth", _use_new_zipfile_serialization=is_zip)
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / "epoch_3.pth"), map_location="cpu")

    history = loaded["message_hub"]["log_scalars"]["train/loss"]
    assert isinstance(history, HistoryBuffer)
    assert history.data[0].tolist() == [1.5, 2.5]
    assert history.statistics("mean") == 2.0
    info = loaded["message_hub"]["runtime_info"]
    assert (info["best"], info["sigmas"].tolist()) == (0.5, [0.0, 1.0, 2.0])
    assert loaded["meta"]["dataset_meta"]["names"].tolist() == ["nose", "eye"]
    assert isinstance(loaded["state_dict"], OrderedDict)
    assert loaded["state_dict"]["weight"].equal(checkpoint["state_dict"]["weight"])


def test_plain_torch_load_reads_it_too(tmp_path, checkpoint):
    torch.save(checkpoint, tmp_path / "epoch_3.pth")
    assert torch.load(tmp_path / "epoch_3.pth", weights_only=True)["meta"]["epoch"] == 3


def test_files_of_numpy_1_and_2_load_alike(tmp_path):
    array = np.arange(4.0)
    for module in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        payload = _pickle_with_module(array, module)
        (tmp_path / "array.pth").write_bytes(payload)
        assert torch.load(tmp_path / "array.pth", weights_only=True).tolist() == array.tolist()


def _pickle_with_module(array: np.ndarray, module: bytes) -> bytes:
    """Return a file of torch's old format whose arrays were made by ``module``."""
    file = io.BytesIO()
    torch.save(array, file, _use_new_zipfile_serialization=False)
    name = b"numpy._core.multiarray" if b"numpy._core" in file.getvalue() else b"numpy.core.multiarray"
    return file.getvalue().replace(name, module)


class CallsOnLoad:
    """Pickles as a call of ``function``, which a careless reader makes."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


HOSTILE = {
    "system": lambda path: CallsOnLoad(os.system, f"touch {path}"),
    "eval": lambda path: CallsOnLoad(eval, f"open({str(path)!r}, 'w')"),
    "getattr of a module's function": lambda path: CallsOnLoad(getattr, torch.nn.Linear, "forward"),
    "getattr of a history": lambda path: CallsOnLoad(getattr, HistoryBuffer, "__init__"),
    "getattr of a rebuild function": lambda path: CallsOnLoad(getattr, torch._utils._rebuild_tensor_v2, "__globals__"),
    "a whole module": lambda path: torch.nn.Linear(2, 2),
}


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_checkpoint_is_refused(tmp_path, name, is_zip):
    mark, file = tmp_path / "was_here", tmp_path / "hostile.pth"
    torch.save(dict(state_dict={}, meta=HOSTILE[name](mark)), file, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(CheckpointError, match=r"hostile\.pth was not loaded: it asks for .*save it again"):
        load_checkpoint(torch.nn.Linear(2, 3), str(file))
    assert not mark.exists()


@pytest.mark.parametrize("scheme", ["local", "ceph", "openmmlab", "http"])
def test_every_scheme_is_protected(tmp_path, monkeypatch, scheme):
    mark, file = tmp_path / "was_here", tmp_path / "hostile.pth"
    torch.save(dict(meta=CallsOnLoad(os.system, f"touch {mark}")), file)
    name = _serve(file, scheme, monkeypatch)
    with pytest.raises(CheckpointError, match="system"):
        CheckpointLoader.load_checkpoint(name)
    assert not mark.exists()


def _serve(file, scheme, monkeypatch) -> str:
    """Make ``file`` reachable by one of MMEngine's schemes, without a network, and return its name there."""
    from mmengine.runner import checkpoint as upstream

    if scheme == "ceph":
        backend = type("Backend", (), {"get": lambda self, name: file.read_bytes()})
        monkeypatch.setattr(upstream, "get_file_backend", lambda *args, **kwargs: backend())
        return "s3://bucket/hostile.pth"
    if scheme == "openmmlab":
        monkeypatch.setattr(upstream, "get_external_models", lambda: {"hostile": str(file)})
        return "openmmlab://hostile"
    if scheme == "http":
        monkeypatch.setenv("TORCH_HOME", str(file.parent))
        cached = file.parent / "hub" / "checkpoints" / "hostile.pth"
        cached.parent.mkdir(parents=True)
        file.rename(cached)
        return "https://nowhere.invalid/hostile.pth"
    return str(file)


def test_protection_wins_over_the_variable_that_forbids_it(tmp_path, monkeypatch, checkpoint):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
    torch.save(dict(meta=CallsOnLoad(os.system, "true")), tmp_path / "hostile.pth")
    torch.save(checkpoint, tmp_path / "good.pth")
    with pytest.raises(CheckpointError):
        CheckpointLoader.load_checkpoint(str(tmp_path / "hostile.pth"))
    assert CheckpointLoader.load_checkpoint(str(tmp_path / "good.pth"))["meta"]["epoch"] == 3
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_users_own_loads_keep_their_choice(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    assert isinstance(torch.load(tmp_path / "module.pth", weights_only=False), torch.nn.Linear)
