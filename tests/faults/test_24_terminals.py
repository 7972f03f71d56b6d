"""Progress bars on terminals that do not tell their size, and on streams that are not terminals."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import textwrap

import cv2
import numpy as np
import pytest

from tests.conftest import ROOT

_BARS = """
    from rtmo_plugin.progress_bar import show_progress

    for _ in show_progress(range(5), desc="working", unit="image"):
        pass
"""
_HOOK = """
    from types import SimpleNamespace
    from rtmo_plugin import workarounds
    workarounds.apply()
    from rtmo_plugin.engine.hooks.progress import ProgressBarHook, is_bar_shown

    hook = ProgressBarHook()
    runner = SimpleNamespace(
        epoch=0, iter=0, max_epochs=1, max_iters=3, message_hub=SimpleNamespace(log_scalars={}), val_dataloader=range(2)
    )
    hook.before_train(runner)
    hook.before_val_epoch(runner)
    for index in range(3):
        hook.after_train_iter(runner, index)
        hook.after_val_iter()
    hook.after_train(runner)
    print(is_bar_shown())
"""


def run(code, *arguments, **options):
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.PIPE, **options)


def run_on_terminal(code, *arguments, columns, rows):
    """Return the exit code, and what was drawn on a terminal of this size, which is stderr alone."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    done = run(code, *arguments, stderr=follower)
    os.close(follower)
    drawn = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # as Linux says that the other side is closed
            part = b""
        if not part:
            break
        drawn += part
    os.close(leader)
    return done, drawn.decode()


@pytest.mark.parametrize(("columns", "rows"), [(0, 0), (0, 24), (80, 0), (80, 1), (200, 50)])
def test_bar_is_drawn_whatever_the_terminal_says_of_its_size(columns, rows):
    done, drawn = run_on_terminal(_BARS, columns=columns, rows=rows)
    assert done.returncode == 0
    assert "working: 100%" in drawn
    assert "5/5" in drawn


def test_training_and_validation_draw_on_a_terminal_of_no_columns():
    done, drawn = run_on_terminal(_HOOK, columns=0, rows=0)
    assert (done.returncode, done.stdout) == (0, b"True\n")
    assert "epoch 1/1: 100%" in drawn
    assert "validating:" in drawn


@pytest.mark.parametrize("code", [_BARS, _HOOK])
def test_nothing_is_drawn_into_a_pipe(code):
    done = run(code, stderr=subprocess.PIPE)
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"\r" not in done.stdout


@pytest.mark.parametrize("code", [_BARS, _HOOK])
def test_closed_stderr_is_not_a_terminal(code):
    done = run(f"import sys\nsys.stderr = None\n{textwrap.dedent(code)}")
    assert done.returncode == 0


def test_check_of_labels_draws_its_bar_there_and_not_into_a_pipe(tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((8, 8, 3), np.uint8))
    labels = {"images": [{"id": 1, "file_name": "1.png", "width": 8, "height": 8}], "annotations": [], "categories": []}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    code = "import sys\nfrom rtmo_plugin.cli.main import main\nmain(sys.argv[1:])"
    arguments = ("dataset", "check", str(tmp_path / "labels.json"), "--images", str(tmp_path))
    _, drawn = run_on_terminal(code, *arguments, columns=0, rows=0)
    assert "opening images: 100%" in drawn
    done = run(code, *arguments, stderr=subprocess.PIPE)
    assert b"\r" not in done.stdout + done.stderr


def test_drawing_of_data_shows_its_bar_there_and_not_into_a_pipe(tmp_path):
    code = (
        "import runpy, sys\nsys.path.append('tools')\nsys.argv[0] = 'tools/make_synthetic.py'\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    _, drawn = run_on_terminal(code, str(tmp_path / "a"), "--num-images", "2", columns=0, rows=0)
    assert "3/3" in drawn
    done = run(code, str(tmp_path / "b"), "--num-images", "2", stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"2 images with annotations: {tmp_path / 'b'}\n"


def test_every_bar_is_made_in_one_place():
    users = [
        path.relative_to(ROOT).as_posix()
        for folder in ("rtmo_plugin", "tools")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\btqdm\(|isatty\(\)|\bProgressBar\b|track_iter_progress", path.read_text())
    ]
    assert users == ["rtmo_plugin/progress_bar.py"]
