"""A server with a tiny model, as ``rtmo serve`` starts it."""

import contextlib
import re
import signal
import subprocess
import sys

import pytest
import torch

from rtmo_plugin.api import export
from tests.conftest import ROOT
from tests.export.conftest import build_tiny
from tests.tiny_runs import make_tiny


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Return an exported file for inputs of 96 x 64 pixels, whose scores lie around the threshold."""
    folder = tmp_path_factory.mktemp("model")
    make_tiny("rtmo-t_coco").dump(folder / "tiny.py")
    torch.save({"state_dict": build_tiny().state_dict()}, folder / "tiny.pth")
    export(folder / "tiny.py", folder / "tiny.pth", folder / "tiny.onnx", size="96x64")
    return folder / "tiny.onnx"


@contextlib.contextmanager
def serve(model, *options):
    """Run ``rtmo serve``, and give its port; it ends as by Ctrl-C, and quietly."""
    command = [sys.executable, "-u", "-m", "rtmo_plugin", "serve", str(model), "--port", "0", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            found = re.match(r"The page is http://127\.0\.0\.1:(\d+); Ctrl-C ends it\.", line)
            assert found, line + process.stderr.read()
            yield int(found[1])
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


@pytest.fixture(scope="session")
def port(model):
    """Return the port of a server that takes 0.2 MB and 0.5 megapixels, and first shows people from 0.2 on."""
    options = ("--max-megabytes", "0.2", "--max-megapixels", "0.5", "--score-thr", "0.2", "--threads", "1")
    with serve(model, *options) as number:
        yield number
