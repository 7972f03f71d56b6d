"""The wheel: in an empty environment, with each extra, it does its main job from any folder.

Packages come from the index that pip is set to.  ``RTMO_WHEEL_PYTHON`` names another interpreter for the environments.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile

import cv2
import pytest

from tests.conftest import ROOT
from tests.tiny_files import make_image

pytestmark = pytest.mark.slow
_PARTS = ("pyproject.toml", "README.md", "LICENSE", "rtmo_plugin", "configs", "benchmarks", "studies")
_SHORT = (
    *("train_dataloader.dataset.num_images=16", "val_dataloader.dataset.num_images=8"),
    *("test_dataloader.dataset.num_images=8", "train_cfg.max_epochs=1"),
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return a wheel of the files of this tree."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for part in _PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, source / part, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / part, source / part)
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "-q")
    command = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


class Environment:
    """An environment with the wheel and some extras, and an empty folder to work in."""

    def __init__(self, folder, wheel, extras, further=""):
        self.bin, self.folder = folder / "env/bin", folder / "elsewhere"
        self.folder.mkdir()
        names = ("PATH", "HOME", "LANG", *(name for name in os.environ if name.startswith("PIP_")))
        self.variables = {name: os.environ[name] for name in names if name in os.environ}
        self.variables["PATH"] = f"{self.bin}:{self.variables['PATH']}"
        python = os.environ.get("RTMO_WHEEL_PYTHON", sys.executable)
        subprocess.run([python, "-m", "venv", str(folder / "env")], check=True)
        wanted = f"{wheel}[{extras}]" if extras else str(wheel)
        self.check("pip", "install", "-q", wanted)
        if further:
            self.check(*further.split())

    def run(self, *command):
        options = {"capture_output": True, "text": True, "cwd": self.folder, "env": self.variables}
        return subprocess.run([str(self.bin / command[0]), *map(str, command[1:])], check=False, **options)

    def check(self, *command):
        """Run a command that must succeed, and return what it printed to stdout."""
        done = self.run(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout


@pytest.fixture
def image(tmp_path):
    cv2.imwrite(str(tmp_path / "image.png"), make_image())
    return tmp_path / "image.png"


def test_predicting_with_an_exported_file(tmp_path, wheel, files, image):
    env = Environment(tmp_path, wheel, "onnx")
    found = json.loads(env.check("rtmo", "predict", files["end2end"], image, "--json"))
    assert found["error"] is None
    assert found["people"]
    assert env.check("rtmo", "--version").startswith("rtmo_plugin ")
    assert "rtmo-s_body7-onnx" in env.check("rtmo", "zoo", "list")
    assert "0.677 on COCO val2017" in env.check("rtmo", "info", "rtmo-s_coco")
    assert json.loads(env.check("rtmo", "info", "--json"))["torch"] == "not installed"
    done = env.run("rtmo", "train", "rtmo-t_synthetic")
    assert done.returncode == 2
    assert re.match(
        r'error: This needs (torch|mmengine), which is not installed: pip install "rtmo-plugin\[train\]" && ',
        done.stderr,
    )


def test_page(tmp_path, wheel, files, image):
    env = Environment(tmp_path, wheel, "onnx,serve")
    command = [str(env.bin / "rtmo"), "serve", str(files["end2end"]), "--port", "0"]
    options = {"stdout": subprocess.PIPE, "text": True, "cwd": env.folder}
    with subprocess.Popen(command, env={**env.variables, "PYTHONUNBUFFERED": "1"}, **options) as server:
        try:
            address = re.search(r"http://[\w.:]+", server.stdout.readline())[0]
            with urllib.request.urlopen(address, timeout=60) as page:
                assert "<title>" in page.read().decode()
            with urllib.request.urlopen(f"{address}/people", image.read_bytes(), timeout=60) as answer:
                assert json.load(answer)["people"]
        finally:
            server.terminate()


def test_job_on_ray_with_parquet(tmp_path, wheel, files, image):
    env = Environment(tmp_path, wheel, "onnx,ray")
    job = ("--records", "parquet", "--ray", "--workers", "1")
    env.check("rtmo", "predict", files["end2end"], image.parent, "--out", "found", *job)
    assert list((env.folder / "found").rglob("*.parquet"))


def test_training_and_exporting(tmp_path, wheel, image):
    """With the line that README and the program's own advice give."""
    further = re.search(
        r'pip install "\.\[train\]" && (pip install --no-deps(?: [\w.=-]+)+)', (ROOT / "README.md").read_text()
    )
    env = Environment(tmp_path, wheel, "train,export", further[1])
    printed = env.check("rtmo", "train", "rtmo-t_synthetic", "--amp", "--cfg-options", *_SHORT)
    assert "checkpoint:" in printed
    checkpoint = env.folder / "work_dirs/rtmo-t_synthetic/epoch_1.pth"
    assert "rtmo-t_synthetic" in env.check("rtmo", "info", checkpoint)
    assert "AP" in env.check("rtmo", "eval", "rtmo-t_synthetic", checkpoint, "--cfg-options", *_SHORT)
    env.check("rtmo", "export", "rtmo-t_synthetic", checkpoint, "--out", "tiny.onnx")
    env.check("rtmo", "export", "rtmo-t_synthetic", checkpoint, "--out", "tiny.xml", "--format", "openvino")
    for name in ("tiny.onnx", "tiny.xml"):
        assert json.loads(env.check("rtmo", "predict", name, image, "--json"))["error"] is None
    missing = env.run("rtmo", "train", "rtmo-s_coco", "--from-scratch")
    assert missing.returncode == 2
    # The config was found by its name and read: what is missing are its images.
    assert missing.stderr.startswith("error: The annotation file data/coco/annotations/person_keypoints_train2017.json")


def test_light_installation_takes_the_advice_of_the_program(tmp_path, wheel):
    """The advice installs the packages of an extra although no index has this package."""
    env = Environment(tmp_path, wheel, "onnx")
    done = env.run("rtmo", "serve", "none.onnx")
    advice = re.search(r'pip install "(rtmo-plugin\[serve\])"', done.stderr)
    assert advice, done.stderr
    env.check("pip", "install", "-q", advice[1])
    assert "The model file none.onnx does not exist" in env.run("rtmo", "serve", "none.onnx").stderr


def test_comparisons_and_studies_are_not_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        folders = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in folders if not name.endswith(".dist-info")} == {"rtmo_plugin"}


def test_files_beside_the_code_are_in_the_wheel(wheel):
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    ).stdout
    package = ROOT / "rtmo_plugin"
    beside = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    configs = [path for path in (ROOT / "configs").rglob("*.py") if "__pycache__" not in path.parts]
    for path in beside:
        assert f"rtmo_plugin/{path.relative_to(package).as_posix()} " in listed
    for path in configs:
        assert f"rtmo_plugin/_configs/{path.relative_to(ROOT / 'configs').as_posix()} " in listed
