"""A server with a tiny model, as ``rtmo serve`` starts it."""

import contextlib
import re
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT


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
def port(tiny_file):
    """Return the port of a server that takes 0.2 MB and 0.5 megapixels, and first shows people from 0.2 on."""
    options = ("--max-megabytes", "0.2", "--max-megapixels", "0.5", "--score-thr", "0.2", "--threads", "1")
    with serve(tiny_file, *options) as number:
        yield number
