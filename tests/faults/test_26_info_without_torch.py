"""``rtmo info`` where the packages for training are not installed, and what docs write into a clone."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT

_WITHOUT = """
import sys
sys.modules["torch"] = None
from rtmo_plugin.cli.main import main
main(sys.argv[1:])
"""


def run(*arguments):
    command = [sys.executable, "-c", _WITHOUT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_shipped_config_with_published_weights_is_described():
    done = run("info", "rtmo-s_coco", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    values = json.loads(done.stdout)
    assert values["config"].endswith("configs/rtmo-s_coco.py")
    assert values["published_ap"] == "0.677 on COCO val2017"
    assert values["published_weights"].endswith("rtmo-s_8xb32-600e_coco-640x640-8db55a59_20231211.pth")
    assert values["more"].startswith('parts, data and schedule, after pip install "rtmo-plugin[train]" && pip install')


def test_shipped_config_without_weights_is_found():
    done = run("info", "rtmo-t_synthetic")
    assert (done.returncode, done.stderr) == (0, "")
    assert "configs/rtmo-t_synthetic.py" in done.stdout
    assert "published" not in done.stdout


@pytest.mark.parametrize("name", ["nothing", "rtmo-x_coco", "rtmo-s_cocoo"])
def test_unknown_name_is_unknown_and_needs_no_torch(name):
    done = run("info", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: No model or config is named {name}")
    assert "torch" not in done.stderr


@pytest.mark.parametrize("name", ["none.pth", "none.py", "none.onnx", "none.json"])
def test_missing_file_is_missing_and_needs_no_torch(name):
    done = run("info", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "torch" not in done.stderr


def test_git_ignores_the_folders_that_docs_write():
    names = ["data/coco/annotations/a.json", "work_dirs/demo/epoch_1.pth"]
    done = subprocess.run(["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == names
    kept = ["rtmo_plugin/data/__init__.py", "configs/_base_/data/synthetic.py"]
    done = subprocess.run(["git", "check-ignore", *kept], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""
