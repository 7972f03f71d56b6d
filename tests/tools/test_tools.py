"""The three tools as a user runs them: one way through, and one sentence and exit code 2 when something is wrong."""

import json
import os
import re
import runpy
import subprocess
import sys

import pytest
import torch

from rtmo_plugin.errors import report_user_errors
from tests.conftest import ROOT


def run_in_process(capsys, tool, *arguments):
    """Run a tool in this process, and return its exit code, stdout and stderr."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{tool}.py", *map(str, arguments)])
        patch.delenv("RTMO_TRACEBACK", raising=False)
        code = 0
        try:
            runpy.run_path(str(ROOT / f"tools/{tool}.py"), run_name="__main__")
        except SystemExit as error:
            code = error.code
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def run_as_user(tool, *arguments):
    """Run a tool in a process of its own, and return its exit code, stdout and stderr."""
    command = [sys.executable, str(ROOT / f"tools/{tool}.py"), *map(str, arguments)]
    environment = {**os.environ, "RTMO_TRACEBACK": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def trained(config, data_root, tmp_path_factory):
    """Return the folder, exit code and output of a training in a process of its own, with many of the options."""
    work_dir = tmp_path_factory.mktemp("run")
    options = ("--work-dir", work_dir, "--data-root", data_root, "--show-dir", work_dir / "pictures", "--seed", 1)
    flags = ("--amp", "--auto-scale-lr", "--from-scratch", "--deterministic", "--launcher", "none", "--local-rank=0")
    return work_dir, run_as_user("train", config, *options, *flags, "--cfg-options", "model.test_cfg.score_thr=0.0")


def test_train_shows_progress_and_ends_with_a_summary(trained):
    work_dir, (code, out, err) = trained
    assert code == 0, err
    summary = out.rstrip().splitlines()[-5:]
    assert re.fullmatch(r"AP: +0\.\d{3} \(last validation\)", summary[0])
    assert summary[1].split()[-1] == str(work_dir / "epoch_3.pth")
    assert (work_dir / "epoch_3.pth").is_file()
    assert re.match(rf"best: +{re.escape(str(work_dir / 'best.pth'))}", summary[2])
    assert summary[3].split()[-1].startswith(str(work_dir))
    assert summary[4].split()[-1] == str(work_dir / "curves.png")
    assert (work_dir / "curves.png").is_file()
    assert "eta: 0:00:0" in out
    assert len(out.splitlines()) < 25  # six of them say what it trains on
    assert err == ""
    assert len(list((work_dir / "pictures/epoch_3").glob("*.jpg"))) == 3


def test_trained_model_is_tested_and_predicts(trained, config, data_root, tmp_path, capsys):
    checkpoint = trained[0] / "epoch_3.pth"
    options = ("--work-dir", tmp_path, "--data-root", data_root, "--out", tmp_path / "metrics.json")
    code, out, _ = run_in_process(capsys, "test", config, checkpoint, *options)
    assert code == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    names, values, _, speed = out.rstrip().splitlines()[-4:]
    assert "ms per image (median; loading, network and decoding in batches of" in speed
    assert names.split()[0] == "AP"
    assert values.split()[0] == f"{metrics['coco/AP']:.3f}"

    images = data_root / "coco/val2017"
    options = ("--out", tmp_path / "pictures", "--score-thr", 0, "--device", "cpu")
    code, out, err = run_in_process(capsys, "predict", config, checkpoint, images, *options)
    note = f"note: the config is an option now: rtmo predict {checkpoint} {images} --config {config}\n"
    assert (code, err) == (0, note)
    assert re.search(rf"^\d+ people in 3 images: plots and predictions\.json in {tmp_path / 'pictures'}$", out, re.M)
    assert {path.name for path in images.iterdir()} < {path.name for path in (tmp_path / "pictures").iterdir()}


def test_resume_goes_on_in_the_same_folder(trained, config, data_root, capsys):
    options = ("--work-dir", trained[0], "--data-root", data_root, "--no-validate", "--resume")
    code, out, _ = run_in_process(capsys, "train", config, *options, "--cfg-options", "train_cfg.max_epochs=4")
    assert code == 0
    assert f"resuming from {trained[0] / 'epoch_3.pth'}" in out
    assert f"checkpoint:     {trained[0] / 'epoch_4.pth'}" in out


def list_mistakes():
    """Return tool, arguments and the beginning of the sentence for mistakes of each kind."""
    return {
        "config": ("train", ["nowhere.py"], "The config file nowhere.py does not exist."),
        "data": ("train", ["CONFIG", "--from-scratch"], "The annotation file data/coco/annotations/person_keypoints_"),
        "key": ("train", ["CONFIG", "--cfg-options", "train_cfg.max_epoch=3"], "--cfg-options train_cfg.max_epoch: no"),
        "pair": ("train", ["CONFIG", "--cfg-options", "train_cfg.max_epochs"], "--cfg-options takes KEY=VALUE pairs"),
        "brackets": ("train", ["CONFIG", "--cfg-options", "a=[(1,2]"], "--cfg-options takes KEY=VALUE pairs"),
        "checkpoint": ("test", ["CONFIG", "nowhere.pth"], "The checkpoint file nowhere.pth does not exist."),
        "not weights": (
            "test",
            ["CONFIG", "JUNK", "DATA"],
            "JUNK cannot be loaded as a checkpoint: the file is",
        ),
        "other weights": (
            "test",
            ["CONFIG", "OTHER", "DATA"],
            "OTHER does not fit the config: it has no backbone",
        ),
        "image": (
            "predict",
            ["CONFIG", "JUNK", "nowhere.jpg", "--out", "x"],
            "The image, video or folder nowhere.jpg does not exist.",
        ),
        "option": ("train", ["CONFIG", "--ampp"], "unrecognized arguments: --ampp"),
    }


@pytest.mark.parametrize("kind", list_mistakes())
def test_mistake_is_one_sentence_and_exit_code_2(kind, config, data_root, tmp_path, capsys):
    tool, arguments, sentence = list_mistakes()[kind]
    junk, other = tmp_path / "junk.pth", tmp_path / "other.pth"
    junk.write_bytes(b"junk")
    torch.save({"state_dict": {"weight": torch.ones(1)}}, other)
    names = {"CONFIG": config, "JUNK": junk, "OTHER": other, "DATA": f"--data-root={data_root}"}
    work_dir = [] if tool == "predict" else ["--work-dir", tmp_path / "run"]
    code, _, err = run_in_process(capsys, tool, *(names.get(name, name) for name in arguments), *work_dir)
    assert code == 2
    said = err.rstrip().splitlines()[-1]
    expected = sentence.replace("JUNK", str(junk)).replace("OTHER", str(other))
    assert re.match(rf"(python tools/{tool}\.py: )?error: {re.escape(expected)}", said), err
    assert "Traceback" not in err


def test_a_process_of_its_own_ends_with_2_as_well(config, tmp_path):
    code, out, err = run_as_user("test", config, tmp_path / "none.pth")
    assert (code, out) == (2, "")
    assert err == f"error: The checkpoint file {tmp_path / 'none.pth'} does not exist.\n"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (FloatingPointError("loss_mle is nan"), 1, "error: training stopped: loss_mle is nan\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
    ],
)
def test_a_run_that_cannot_go_on_says_so_without_traceback(capsys, error, code, words):
    with pytest.raises(SystemExit) as left, report_user_errors():
        raise error
    assert left.value.code == code
    assert capsys.readouterr().err == words


def test_a_defect_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError), report_user_errors():
        raise ZeroDivisionError
