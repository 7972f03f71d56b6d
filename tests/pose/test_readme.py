"""The first program of the README runs as it stands, and says in one sentence what is missing without a network."""

import re
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import pytest

from rtmo_plugin.checkpoints.zoo import CATALOGUE, locate
from rtmo_plugin.errors import MissingFileError
from rtmo_plugin.files import compute_hash
from tests.conftest import ROOT
from tests.tiny_files import make_image

PROGRAM = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
(NAME,) = re.findall(r'Pose\("(.+?)"\)', PROGRAM)


@pytest.fixture
def web(monkeypatch):
    """Serve one image at every web address, as a proxy does, and return the addresses that were asked for."""
    asked = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(cv2.imencode(".jpg", make_image())[1].tobytes())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    yield asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def work_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def test_first_program_runs_as_it_stands(files, web, work_dir, monkeypatch, capsys):
    path = locate(CATALOGUE[NAME])
    path.parent.mkdir(parents=True)
    path.write_bytes(files["end2end"].read_bytes())  # stands for the published file, in its place
    monkeypatch.setitem(CATALOGUE, NAME, replace(CATALOGUE[NAME], sha256=compute_hash(path)))
    exec(PROGRAM, {})
    assert cv2.imread("drawn.jpg").shape == make_image().shape
    assert "17, 2)" in capsys.readouterr().out
    assert len(web) == 1
    assert web[0] in PROGRAM


def test_first_program_without_a_network_ends_in_one_sentence(work_dir, monkeypatch):
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:1")  # where nothing answers
    with pytest.raises(MissingFileError, match=f"^{NAME} cannot be downloaded .* put the file at .*RTMO_MIRRORS"):
        exec(PROGRAM, {})
