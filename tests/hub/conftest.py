"""A small RTMO in the layout of the Hub, and a server that answers as the Hub does."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from rtmo_plugin import RTMO, CSPConfig, RTMOConfig
from tests.oracle import randomize, spread_scores


@pytest.fixture(scope="session")
def model():
    """Return an RTMO-t whose scores differ; three keypoints, so that they are not COCO's."""
    torch.manual_seed(0)
    keypoints = {"names": ["head", "left_hand", "right_hand"], "sigmas": [0.1, 0.08, 0.08], "skeleton": [[0, 1]]}
    built = RTMO(RTMOConfig(CSPConfig("tiny"), num_keypoints=3, keypoints=keypoints, score_thr=0.05, nms_thr=0.5))
    randomize(built, 0)
    spread_scores(built.head, std=1.0)
    return built.eval()


@pytest.fixture(scope="session")
def folder(model, tmp_path_factory):
    """Return the folder that the model was saved in."""
    path = tmp_path_factory.mktemp("hub") / "robots"
    assert model.save_pretrained(path) is None
    return path


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self._answer(has_body=False)

    def do_GET(self):
        self._answer(has_body=True)

    def _answer(self, has_body):
        owner, name, verb, revision, *parts = self.path.lstrip("/").split("/")
        path = self.server.folder.joinpath(*parts)
        self.server.requests.append("/".join(parts))
        if (owner, name, verb, revision) != ("org", "robots", "resolve", "main") or not path.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if name == "robots" else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if has_body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """Serve the folder as ``org/robots``, with an empty cache; the server notes the files that it is asked for."""
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.folder, server.requests = folder, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
