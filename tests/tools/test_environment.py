"""Outside of the virtual environment every tool says which interpreter to use instead, in one sentence."""

import os
import re
import shutil
import subprocess
import sys
import venv

import pytest

from tests.conftest import ROOT

TOOLS = sorted(path.stem for path in (ROOT / "tools").glob("*.py") if path.stem != "environment")


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Return an interpreter without packages."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    return folder / "bin/python"


@pytest.fixture
def clone(tmp_path):
    """Return a folder with the tools and the package, and without a virtual environment."""
    shutil.copytree(ROOT / "tools", tmp_path / "clone/tools")
    (tmp_path / "clone/rtmo_plugin").symlink_to(ROOT / "rtmo_plugin")
    return tmp_path / "clone"


def run(python, clone, *arguments, cwd=None, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd or clone, env={**environment, **variables}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_names_the_interpreter_that_has_the_packages(bare, clone, tool):
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(sys.executable)
    advice = f"run `.venv/bin/python tools/{tool}.py a 'b c'`, or activate .venv."
    code, out, err = run(bare, clone, f"tools/{tool}.py", "a", "b c")
    assert (code, out, err) == (2, "", f"error: {bare} has no package rtmo_plugin: {advice}\n")


def test_without_a_virtual_environment_it_is_made_first(bare, clone, tmp_path):
    advice = "run `make setup`, then `.venv/bin/python tools/train.py`, or activate .venv.\n"
    assert run(bare, clone, "tools/train.py")[2].endswith(f"has no package rtmo_plugin: {advice}")
    _, _, err = run(bare, clone, clone / "tools/train.py", cwd=tmp_path / "clone/tools")
    assert f"run `make -C {clone} setup`, then `{clone}/.venv/bin/python {clone}/tools/train.py`, or activate" in err


def test_packages_of_the_clone_alone_are_not_enough(bare, clone):
    code, _, err = run(bare, clone, "tools/dataset.py", "check", "people.json", PYTHONPATH=str(clone))
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: {bare} has no package numpy: run `make setup`")


def test_without_torch_alone_the_command_says_what_to_install(clone):
    lines = (
        "import runpy, sys",
        "sys.modules['torch'] = None",
        "sys.argv = ['tools/train.py', 'rtmo-s_coco']",
        f"sys.path[:0] = {[str(clone / 'tools'), str(clone)]}",
        "runpy.run_path(sys.argv[0], run_name='__main__')",
    )
    program = "\n".join(lines)
    code, _, err = run(sys.executable, clone, "-c", program)
    assert (code, err.count("\n")) == (2, 1)
    assert re.match(r"error: This needs torch, which is not installed: pip install ", err)
