"""A config is Python, and whatever it raises is one sentence."""

import io
import sys
import tempfile

import pytest

from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.errors import ConfigError
from tests.conftest import run_command

BAD = {
    "model = dict(a=1 / 0)": "ZeroDivisionError: division by zero",
    "_base_ = 'bad.py'\nmodel = dict()": "builds on itself",
    "_base_ = ['other.py']": "builds on itself",
    "_base_ = ('other.yaml',)": "builds on itself",
    "def f(): return f()\nmodel = f()": "calls itself without end",
    "raise SystemExit(3)": "ends the program",
    "model = undefined": "NameError: name 'undefined'",
    "model = [][1]": "IndexError",
    "model = {}['a']": "KeyError",
    "assert False": "AssertionError",
    "model = dict().nothing": "AttributeError",
    "model = next(iter(()))": "StopIteration",
    "raise RuntimeError('own words')": "RuntimeError: own words",
    "input()": "EOFError",
    "model = 'x'.encode('no such')": "LookupError",
    "model = dict(": "SyntaxError",
    "model = b'\\xff'.decode()": "UnicodeDecodeError",
    "_base_ = 3": "TypeError",
    "_base_ = 'no_such_file.py'": "no_such_file.py",
    "model = 3": "describes no model",
    "": "describes no model",
}


@pytest.mark.parametrize("text", BAD)
def test_config_that_fails_is_refused_with_its_reason(tmp_path, monkeypatch, text):
    path = tmp_path / "bad.py"
    path.write_text(text)
    (tmp_path / "other.py").write_text("_base_ = 'bad.py'")
    (tmp_path / "other.yaml").write_text("_base_: bad.py")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(ConfigError, match=rf"bad\.py.*({BAD[text]})") as error:
        load_config(path)
    assert "\n" not in str(error.value)


def test_a_circle_opens_few_files(tmp_path, monkeypatch):
    """It opened one for each turn, up to the limit of the process, which became the reason."""
    opened, make = [], tempfile.NamedTemporaryFile
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda *a, **k: opened.append(a) or make(*a, **k))
    (tmp_path / "bad.py").write_text("_base_ = './bad.py'")
    with pytest.raises(ConfigError, match="builds on itself"):
        load_config(tmp_path / "bad.py")
    assert opened == []


@pytest.mark.parametrize("command", ["train", "info"])
def test_commands_print_one_sentence(capsys, tmp_path, command):
    path = tmp_path / "bad.py"
    path.write_text("_base_ = 'bad.py'")
    code, _, printed = run_command(capsys, command, path)
    assert code == 2
    assert printed.count("\n") == 1
    assert printed.startswith(f"error: The config {path} ")


def test_folder_of_plots_is_checked_before_training(capsys, tmp_path):
    (tmp_path / "file").touch()
    options = ("--show-dir", tmp_path / "file", "--work-dir", tmp_path / "run")
    code, out, printed = run_command(capsys, "train", "rtmo-t_synthetic", *options)
    assert (code, out, printed.count("\n")) == (2, "", 1)
    assert not list(tmp_path.glob("run/*.pth"))
