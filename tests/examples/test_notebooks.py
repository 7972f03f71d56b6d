"""The notebooks of ``examples`` run from the first cell to the last, offline, with settings of seconds."""

import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
PARAMETERS = {
    "predict_and_track": {"NUM_IMAGES": 16, "NUM_FRAMES": 4},
    "train_on_your_keypoints": {"NUM_IMAGES": 10},
    "export_and_compare": {"NUM_IMAGES": 16, "NUM_ROUNDS": 1},
}
SHELL = f"""import subprocess

def run_line(line):
    line = line.replace("rtmo ", {shlex.quote(sys.executable) + " -m rtmo_plugin "!r}, 1)
    return subprocess.run(line, shell=True, check=False).returncode
"""


def read_cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def write_program(path, parameters):
    """Return a notebook's code as one program: values for its parameters, and ``!`` lines run by a shell."""
    parts = [SHELL]
    for cell in read_cells(path):
        if cell["cell_type"] == "code":
            code = "".join(cell["source"])
            parts.append(
                re.sub(r"^!(.*)$", lambda line: f"assert run_line(f{line[1]!r}) in (0, 1)", code, flags=re.MULTILINE)
            )
        if "parameters" in cell["metadata"].get("tags", ()):
            parts.append("\n".join(f"{name} = {value!r}" for name, value in parameters.items()))
    return "\n\n".join(parts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder that the notebooks run in: they share one trained model."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, folder):
    environment = {**os.environ, "TORCH_HOME": str(folder / "no_weights")}
    program = write_program(path, PARAMETERS[path.stem])
    ran = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    assert not (folder / "no_weights").exists()  # nothing was downloaded


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_code_of_a_notebook_can_be_read(path):
    program = write_program(path, PARAMETERS[path.stem])
    names = {
        name.asname or name.name: node.module
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    ours = {name: module for name, module in names.items() if module.startswith("rtmo_plugin")}
    assert ours
    assert [name for name, module in ours.items() if not hasattr(importlib.import_module(module), name)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_small_and_without_outputs(path):
    assert path.stat().st_size < 30_000
    code = [cell for cell in read_cells(path) if cell["cell_type"] == "code"]
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []
    assert [cell for cell in code if "parameters" in cell["metadata"].get("tags", ())]  # for papermill, and this test
    assert not re.search(r'"/(home|work|tmp|root|Users)/', path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("guide", ["README.md", "docs/index.md"])
def test_notebooks_are_linked(guide):
    text = (ROOT / guide).read_text(encoding="utf-8")
    assert [path.name for path in NOTEBOOKS if f"examples/{path.name}" not in text] == []
    assert len(NOTEBOOKS) == len(PARAMETERS)
