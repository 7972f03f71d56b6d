"""Modules of the room that others import first: each can be imported by itself, in a new process."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("name", ["engine.console"])
def test_can_be_imported_by_itself(name):
    command = [sys.executable, "-c", f"import rtmo_plugin.{name}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
