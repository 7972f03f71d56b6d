"""Progress bars on terminals that do not tell their size, and on streams that are not terminals."""

import contextlib
import fcntl
import json
import os
import pty
import re
import runpy
import struct
import subprocess
import sys
import termios
import textwrap
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rtmo_plugin.engine.hooks.progress import ProgressBarHook, is_bar_shown
from tests.conftest import ROOT

_BARS = """
    from rtmo_plugin.progress_bar import show_progress

    for _ in show_progress(range(5), desc="working", unit="image"):
        pass
"""


def run(code, *arguments, **options):
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.PIPE, **options)


def open_terminal(columns, rows):
    """Return both sides of a new terminal of this size."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return leader, follower


def read_end(number):
    """Return what was written into a terminal or pipe whose other side is closed, and close this one."""
    with open(number, "rb", buffering=0) as reader:
        parts = []
        with contextlib.suppress(OSError):  # as Linux says that the other side of a terminal is closed
            while part := reader.read(65536):
                parts.append(part)
    return b"".join(parts).decode()


def run_on_terminal(code, *arguments, columns, rows):
    """Return the result of a process, and what was drawn on a terminal of this size, which is its stderr alone."""
    leader, follower = open_terminal(columns, rows)
    done = run(code, *arguments, stderr=follower)
    os.close(follower)
    return done, read_end(leader)


def draw_here(monkeypatch, sides, draw):
    """Return what ``draw`` writes while stderr of this process is the second side of a terminal or pipe."""
    reader, writer = sides
    with open(writer, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        draw()
    return read_end(reader)


def draw_training():
    """Let the hook draw, as a training of three steps and a validation of two batches do."""
    hook = ProgressBarHook()
    hub = SimpleNamespace(log_scalars={})
    runner = SimpleNamespace(epoch=0, iter=0, max_epochs=1, max_iters=3, message_hub=hub, val_dataloader=range(2))
    hook.before_train(runner)
    hook.before_val_epoch(runner)
    for index in range(3):
        hook.after_train_iter(runner, index)
        hook.after_val_iter()
    hook.after_train(runner)
    return is_bar_shown()


@pytest.mark.parametrize(("columns", "rows"), [(0, 0), (0, 24), (80, 0), (80, 1), (200, 50)])
def test_bar_is_drawn_whatever_the_terminal_says_of_its_size(columns, rows):
    done, drawn = run_on_terminal(_BARS, columns=columns, rows=rows)
    assert done.returncode == 0
    assert "working: 100%" in drawn
    assert "5/5" in drawn


def test_training_and_validation_draw_on_a_terminal_of_no_columns(monkeypatch):
    shown = []
    drawn = draw_here(monkeypatch, open_terminal(columns=0, rows=0), lambda: shown.append(draw_training()))
    assert shown == [True]
    assert "epoch 1/1: 100%" in drawn
    assert "validating:" in drawn


def test_nothing_is_drawn_into_a_pipe(monkeypatch, capfd):
    done = run(_BARS, stderr=subprocess.PIPE)
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"\r" not in done.stdout
    shown = []
    assert draw_here(monkeypatch, os.pipe(), lambda: shown.append(draw_training())) == ""
    assert shown == [False]
    assert capfd.readouterr() == ("", "")


def test_closed_stderr_is_not_a_terminal(monkeypatch):
    done = run(f"import sys\nsys.stderr = None\n{textwrap.dedent(_BARS)}")
    assert done.returncode == 0
    monkeypatch.setattr(sys, "stderr", None)
    assert not draw_training()


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


def test_drawing_of_data_shows_its_bar_there_and_not_into_a_pipe(tmp_path, monkeypatch, capfd):
    def draw(folder):
        monkeypatch.setattr(sys, "argv", ["tools/make_synthetic.py", str(tmp_path / folder), "--num-images", "2"])
        runpy.run_path(str(ROOT / "tools/make_synthetic.py"), run_name="__main__")

    assert "3/3" in draw_here(monkeypatch, open_terminal(columns=0, rows=0), lambda: draw("a"))
    capfd.readouterr()
    assert draw_here(monkeypatch, os.pipe(), lambda: draw("b")) == ""
    assert capfd.readouterr() == (f"2 images with annotations: {tmp_path / 'b'}\n", "")


def test_every_bar_is_made_in_one_place():
    users = [
        path.relative_to(ROOT).as_posix()
        for folder in ("rtmo_plugin", "tools")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\btqdm\(|isatty\(\)|\bProgressBar\b|track_iter_progress", path.read_text())
    ]
    assert users == ["rtmo_plugin/progress_bar.py"]
