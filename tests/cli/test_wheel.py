"""The wheel: what is installed is enough to find a config by name and to run, from any folder."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

_PARTS = ("pyproject.toml", "README.md", "LICENSE", "rtmo_plugin", "configs")


def run(*command, **options):
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, **options)


@pytest.mark.slow
def test_installed_wheel_finds_configs_by_name(tmp_path):
    source, installed, elsewhere = tmp_path / "source", tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    source.mkdir()
    for part in _PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part, **({"symlinks": True} if (ROOT / part).is_dir() else {}))
    options = ("--no-deps", "--no-index", "--disable-pip-version-check", "-q")
    done = run("pip", "wheel", *options, "--no-build-isolation", "-w", str(tmp_path), str(source))
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    shutil.rmtree(source)
    done = run("pip", "install", *options, "--target", str(installed), str(wheel))
    assert done.returncode == 0, done.stderr

    options = {"cwd": elsewhere, "env": {**os.environ, "PYTHONPATH": str(installed)}}
    done = run("rtmo_plugin", "train", "rtmo-s_coco", "--from-scratch", **options)
    assert done.returncode == 2
    # The config was found and read: what is missing are its images.
    assert done.stderr.startswith("error: The annotation file data/coco/annotations/person_keypoints_train2017.json")
    assert not (installed / "rtmo_plugin/_configs").is_symlink()
    assert (installed / "rtmo_plugin/serving/page/index.html").is_file()
    done = run("rtmo_plugin", "--version", **options)
    assert done.stdout.startswith("rtmo_plugin ")
