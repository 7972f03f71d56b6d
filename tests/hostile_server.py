"""A server of files that can stall, truncate and lie, and an environment in which no test reaches any other."""

import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

NOWHERE = "http://127.0.0.1:9"  # the discard port, which refuses connections


class Handler(BaseHTTPRequestHandler):
    """Serves ``server.files`` as ``server.manners`` say: one for each request, the last one for all that follow."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answer in the next manner."""
        manners, ranged = self.server.manners, self.headers.get("Range")
        self.close_connection = True
        name = self.path.lstrip("/")
        self.server.requests.append((name, ranged))
        manner = manners.pop(0) if len(manners) > 1 else manners[0]
        if manner.isdigit():
            self.send_error(int(manner))
        elif name not in self.server.files:
            self.send_error(404)
        else:
            self.answer(manner, self.server.files[name], ranged)

    def answer(self, manner, content, ranged):
        """Send ``content``, or what the manner makes of it."""
        start = int(re.fullmatch(r"bytes=(\d+)-", ranged)[1]) if ranged else 0
        has_changed = self.headers.get("If-Range", self.server.tag) != self.server.tag
        if not ranged or has_changed or manner == "ignore range":
            start, status = 0, 200
        elif start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        else:
            status = 206
        if manner == "never answer":
            self.server.released.wait()
        body = bytes(len(content) - start) if manner == "lie" else content[start:]
        self.send_headers(manner, status, start, len(content))
        self.send_body(manner, body)

    def send_headers(self, manner, status, start, total):
        """Send the headers of a file, or of what is not one."""
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if manner == "web page" else "application/octet-stream")
        self.send_header("Content-Length", str(total - start + (99 if manner == "promise more" else 0)))
        if self.server.tag:
            self.send_header("ETag", self.server.tag)
        if status == 206:
            shift = 1 if manner == "other range" else 0
            shown = "*" if manner == "keep total" else total
            self.send_header("Content-Range", f"bytes {start + shift}-{total - 1}/{shown}")
        self.end_headers()

    def send_body(self, manner, body):
        """Send the body, or as much of it as the manner allows."""
        half = body[: len(body) // 2]
        if manner == "drip":
            while not self.server.released.wait(0.01):
                self.wfile.write(body[:1])
        elif manner in ("stall", "break"):
            self.wfile.write(half)
            self.wfile.flush()
            if manner == "stall":
                self.server.released.wait()
        else:
            self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


class HostileServer(ThreadingHTTPServer):
    """A server at ``url``; tests set ``files``, ``manners`` and ``tag``, and read ``requests``."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.manners, self.requests, self.tag = {}, ["be good"], [], '"1"'
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Say nothing when a client has gone."""

    @property
    def ranges(self):
        """Return the ``Range`` of every request."""
        return [ranged for _, ranged in self.requests]


@pytest.fixture
def server():
    """Return a running server, which lets go of stalled clients at the end."""
    with HostileServer() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.released.set()
        running.shutdown()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return a cache of the test's own; addresses other than this machine's lead nowhere."""
    for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(variable)
    monkeypatch.delenv("RTMO_MIRRORS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("https_proxy", NOWHERE)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "torch/hub/checkpoints"
