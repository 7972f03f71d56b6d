"""The commands and names of docs/export.md are those of the tools and the package."""

import re
import runpy
import sys

import pytest

from rtmo_plugin.cli.main import main
from rtmo_plugin.export.checks.tolerance import FLOAT16, FLOAT32, INT8
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.shipped_configs import list_configs
from tests.conftest import ROOT

TEXT = (ROOT / "docs/export.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", re.findall(r"^rtmo export (.+?)(?:  +#.*)?$", TEXT, re.MULTILINE))
def test_commands_are_understood(command, monkeypatch):
    given = {}
    monkeypatch.setattr("rtmo_plugin.api.export", lambda **options: given.update(options))
    with pytest.raises(AttributeError, match="describe"):  # of nothing, which our stand-in returns
        main(["export", *command.split()])
    assert given["config"] in list_configs() or given["config"].endswith(".pth")


def test_options_exist(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["export.py", "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "tools/export.py"), run_name="__main__")
    options, known = set(re.findall(r"`(--[\w-]+)", TEXT)), capsys.readouterr().out
    assert len(options) > 8
    assert {option for option in options if option not in known} == set()


def test_names_exist():
    assert set(re.findall(r"people\.(\w+)", TEXT)) <= set(Detections.__dataclass_fields__)
    assert set(re.findall(r"model\.(\w+)\(", TEXT)) <= set(dir(ExportedModel))


def test_tolerances_are_those_of_the_code():
    rows = {"scores": "score", "keypoints": "keypoint"}
    for words, name in rows.items():
        row = re.search(rf"^\| {words} \|(.*)\|$", TEXT, re.MULTILINE)[1]
        expected = [getattr(each, name) for each in (FLOAT32, FLOAT16, INT8)]
        assert [float(cell.removesuffix(" px ")) for cell in row.split("|")] == expected
    assert f"| {FLOAT32.box:.1%} | {FLOAT16.box:.0%} | {INT8.box:.0%} |".replace("%", " %") in TEXT
