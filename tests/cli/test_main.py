"""The command itself: every command says how it is used, and mistakes are one sentence."""

import json
import os
import subprocess
import sys

import pytest
import torch

from rtmo_plugin.cli.main import COMMANDS
from rtmo_plugin.errors import MissingFileError
from rtmo_plugin.shipped_configs import list_configs, locate_config
from tests.conftest import ROOT, run_command


def test_without_a_command_it_lists_them(capsys):
    code, out, _ = run_command(capsys)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  ")][-len(COMMANDS) :] == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_that_can_be_read(name, capsys):
    code, out, _ = run_command(capsys, name, "--help")
    assert code == 0
    examples = out[out.index("\nexample") :].splitlines()[2:]
    assert examples[0].startswith(f"  rtmo {name}")
    assert "%(" not in out
    assert "{" not in examples[0]


@pytest.mark.parametrize(
    ("name", "own"),
    [("zoo", own) for own in ("list", "fetch", "path")] + [("dataset", own) for own in ("check", "split", "convert")],
)
def test_commands_within_commands_have_examples_too(name, own, capsys):
    code, out, _ = run_command(capsys, name, own, "--help")
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


_PHOTO = str(ROOT / "docs/demo.jpg")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predcit"], "error: The command 'predcit' is unknown: did you mean predict?"),
        (["predict", "none.onnx", _PHOTO], "error: The model file none.onnx does not exist."),
        (["predict", "none.pth", _PHOTO], "error: The checkpoint file none.pth does not exist."),
        (["track", "none.onnx", "none.mp4", "--out", "x.mp4"], "error: The model file none.onnx does not exist."),
        (["train", "rtmo-s_cocoo"], "error: No config is named rtmo-s_cocoo: did you mean rtmo-s_coco?"),
        (["eval", "rtmo-s_coco"], "error: No model is named: name a checkpoint after the config"),
        (["info", "none.onnx"], "error: The model file none.onnx does not exist."),
        (["info", "none.pth"], "error: The checkpoint file none.pth does not exist."),
        (["info", "none.py"], "error: The config file none.py does not exist."),
        (["info", "rtmo-s_cocoo"], "error: No model or config is named rtmo-s_cocoo: did you mean rtmo-s_coco?"),
        (["predict", "a.pth", _PHOTO, "--config", "rtmo-s_coco", "--threads", "2"], "error: threads is an option of"),
        (["predict", "a.jpg", "a.onnx"], "error: a.jpg is an image or a video, not a model: name the model first."),
        (
            ["predict", "a.onnx", "x.jpg", "--score-threshold=1"],
            "rtmo predict: error: unrecognized arguments: --score-threshold=1: did you mean --score-thr?",
        ),
        (["predict", "a.onnx", "x.jpg", "--threads", "0"], "rtmo predict: error: argument --threads: '0' is not a"),
        (["serve", "none.onnx", "--port", "0"], "error: The model file none.onnx does not exist."),
        (["serve", "x.onnx", "--port", "0", "--max-megabytes", "0"], "rtmo serve: error: argument --max-mega"),
    ],
)
def test_mistake_is_one_sentence_and_exit_code_2(arguments, sentence, capsys):
    code, out, err = run_command(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1


def test_a_program_reads_json(capsys):
    assert json.loads(run_command(capsys, "info", "--json")[1])["torch"][0].isdigit()
    weights = {each["name"]: each for each in json.loads(run_command(capsys, "zoo", "list", "--json")[1])}
    assert weights["rtmo-s_coco"]["ap"] == 0.677


def test_info_says_what_a_config_is(capsys):
    values = json.loads(run_command(capsys, "info", "rtmo-s_coco", "--json")[1])
    assert (values["head"], values["epochs"], values["images_a_step"]) == ("rtmo_plugin.RTMOHead", 600, 256)
    assert values["stages"] == ["warmup from 0", "refine from 280", "finish from 580"]
    assert values["training_labels"] == ["coco/annotations/person_keypoints_train2017.json"]
    code, out, _ = run_command(capsys, "info", ROOT / "configs/rtmo-t_synthetic.py")
    assert code == 0
    assert "training_labels  rtmo_plugin.SyntheticPeople\n" in out


def test_info_says_what_a_checkpoint_is(capsys, tmp_path):
    state = {"head.dcc.x.weight": torch.zeros(500, 100), "neck.bn.running_mean": torch.zeros(99)}
    meta = {"epoch": 3, "iter": 7, "dataset_meta": {"CLASSES": [{"name": "goat"}], "keypoint_id2name": {0: "horn"}}}
    torch.save({"state_dict": state, "meta": meta}, tmp_path / "mine.pth")
    values = json.loads(run_command(capsys, "info", tmp_path / "mine.pth", "--json")[1])
    expected = {"parameters_millions": 0.05, "is_rtmo": True, "epoch": 3, "can_be_resumed": False, "seed": None}
    assert values.items() >= {**expected, "has_moving_average": False}.items()
    assert (values["classes"], values["keypoints"]) == (["goat"], ["horn"])
    code, out, _ = run_command(capsys, "info", tmp_path / "mine.pth")
    assert code == 0
    assert "can_be_resumed       no\n" in out
    assert "seed" not in out


def test_configs_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {path.stem for path in (ROOT / "configs").glob("*.py")} == set(list_configs())
    assert locate_config("rtmo-s_coco") == ROOT / "configs/rtmo-s_coco.py"
    (tmp_path / "rtmo-s_coco").write_text("")  # a file of that name comes first
    assert str(locate_config("rtmo-s_coco")) == "rtmo-s_coco"
    with pytest.raises(MissingFileError, match=r"No config is named x; the shipped ones are rtmo-l_body7"):
        locate_config("x")
    with pytest.raises(
        MissingFileError, match=r"configs/rtmo-s_coco\.py does not exist: the shipped one is rtmo-s_coco\.$"
    ):
        locate_config("configs/rtmo-s_coco.py")


def test_it_ends_quietly_when_nobody_reads_on():
    """As in ``rtmo zoo list | head -0``; the pipe is closed before anything is written."""
    command = [sys.executable, "-m", "rtmo_plugin", "zoo", "list"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device to write to")
@pytest.mark.parametrize("command", [["zoo", "list"], ["zoo", "list", "--json"]])
def test_a_full_disk_behind_stdout_is_one_sentence(command):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "rtmo_plugin", *command]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, text=True, check=False)
    sentence = "error: The output cannot be written any further: No space left on device.\n"
    assert (done.returncode, done.stderr) == (2, sentence)


_WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from rtmo_plugin.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "rtmo-s_coco"],
        ["export", "rtmo-s_coco", "a.pth", "--out", "a.onnx"],
        ["predict", "a.pth", _PHOTO, "--config", "rtmo-s_coco"],
    ],
)
def test_without_the_training_packages_it_says_how_to_install_them(arguments):
    command = [sys.executable, "-c", _WITHOUT_TORCH, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        'error: This needs torch, which is not installed: pip install "rtmo-plugin[train]" && '
        "pip install --no-deps mmpose==1.3.2 mmdet==3.3.0 mmcv-lite==2.1.0\n"
    )


_BEFORE_THE_MODEL = """
import sys, time
import rtmo_plugin.runtime.exported_model as exported_model
from rtmo_plugin.cli.main import main

def stop(*_, **__):
    heavy = {"torch", "mmengine", "mmcv", "mmdet", "mmpose"} & set(sys.modules)
    print(time.process_time(), *heavy)
    raise SystemExit

exported_model.open_engine = stop
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


_AT_EXIT = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_freeze_count() > 0))  # runs after what is registered later
from rtmo_plugin.cli.main import main
main(["zoo", "list"])
"""


def test_an_exit_does_not_search_what_was_imported_for_garbage():
    done = subprocess.run([sys.executable, "-c", _AT_EXIT], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nTrue\n")
