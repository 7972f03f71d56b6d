"""The command itself: every command says how it is used, and mistakes are one sentence."""

import json
import os
import subprocess
import sys

import pytest

from rtmo_plugin.apis.shipped_configs import list_names, locate_config
from rtmo_plugin.cli.main import COMMANDS, main
from rtmo_plugin.errors import MissingFileError
from tests.conftest import ROOT


def run(capsys, *arguments):
    """Run the command in this process, and return its exit code, stdout and stderr."""
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as error:
        code = error.code
    printed = capsys.readouterr()
    return code or 0, printed.out, printed.err


def test_without_a_command_it_lists_them(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  ")][-len(COMMANDS) :] == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_that_can_be_read(name, capsys):
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    examples = out[out.index("\nexample") :].splitlines()[2:]
    assert examples[0].startswith(f"  rtmo {name}")
    assert "%(" not in out
    assert "{" not in examples[0]


@pytest.mark.parametrize(
    ("name", "own"),
    [(name, own) for name, group in {"zoo": "list fetch path", "dataset": "check split convert",
     "benchmark": "eval data train infer"}.items() for own in group.split()],
)  # fmt: skip
def test_commands_within_commands_have_examples_too(name, own, capsys):
    code, out, _ = run(capsys, name, own, "--help")
    assert code == 0
    assert f"\nexample:\n  rtmo {name} {own} " in out


_HELP_OF_ALL = """
import contextlib, io, sys
from rtmo_plugin.cli.main import COMMANDS, main
for name in COMMANDS:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main([name, "--help"])
    print(name, *{"torch", "mmengine", "mmpose", "cv2"} & set(sys.modules))
"""


def test_help_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", _HELP_OF_ALL], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == list(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predcit"], "rtmo: error: argument COMMAND: invalid choice: 'predcit'"),
        (["predict", "none.onnx", "none.jpg"], "error: There is no model file none.onnx."),
        (["predict", "a.pth", "x.jpg"], "error: a.pth is a checkpoint and needs its config"),
        (["track", "none.onnx", "none.mp4", "--out", "x.mp4"], "error: There is no model file none.onnx."),
        (["train", "rtmo-s_cocoo"], "error: There is no config named rtmo-s_cocoo: did you mean rtmo-s_coco?"),
        (["eval", "rtmo-s_coco"], "error: There is nothing to evaluate: name a model, or two with --compare A B."),
        (["info", "none.onnx"], "error: There is no model file none.onnx."),
    ],
)
def test_mistake_is_one_sentence_and_exit_code_2(arguments, sentence, capsys):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(sentence)


def test_a_program_reads_json(capsys):
    assert json.loads(run(capsys, "info", "--json")[1])["torch"][0].isdigit()
    weights = {each["name"]: each for each in json.loads(run(capsys, "zoo", "list", "--json")[1])}
    assert weights["rtmo-s_coco"]["ap"] == 0.677


def test_configs_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {path.stem for path in (ROOT / "configs").glob("*.py")} == set(list_names())
    assert locate_config("rtmo-s_coco") == ROOT / "configs/rtmo-s_coco.py"
    (tmp_path / "rtmo-s_coco").write_text("")  # a file of that name comes first
    assert str(locate_config("rtmo-s_coco")) == "rtmo-s_coco"
    with pytest.raises(MissingFileError, match=r"no config named x; the shipped ones are rtmo-l_body7"):
        locate_config("x")
    with pytest.raises(MissingFileError, match=r"configs/rtmo-s_coco\.py: the shipped one is rtmo-s_coco\.$"):
        locate_config("configs/rtmo-s_coco.py")


def test_it_ends_quietly_when_nobody_reads_on():
    """As in ``rtmo zoo list | head -0``; the pipe is closed before anything is written."""
    command = [sys.executable, "-m", "rtmo_plugin", "zoo", "list"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


_BEFORE_THE_MODEL = """
import sys, time
import rtmo_plugin.inference.pose_model as pose_model
from rtmo_plugin.cli.main import main

def stop(*_, **__):
    heavy = {"torch", "mmengine", "mmcv", "mmdet", "mmpose"} & set(sys.modules)
    print(time.process_time(), *heavy)
    raise SystemExit

pose_model.open_engine = stop
main(["predict", "model.onnx", sys.argv[1]])
"""


def test_predicting_with_a_file_starts_in_a_moment(tmp_path):
    image = tmp_path / "image.png"
    image.touch()
    done = subprocess.run(
        [sys.executable, "-c", _BEFORE_THE_MODEL, image], capture_output=True, text=True, cwd=ROOT, check=True
    )
    seconds, *heavy = done.stdout.split()
    assert heavy == []
    assert float(seconds) < 1.0
