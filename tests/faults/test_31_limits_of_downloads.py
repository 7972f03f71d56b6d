"""No server that an image or a model comes from can hold a program: every answer has limits of bytes, time and rate."""

import contextlib
import http.client
import socket
import threading
import time
import zipfile

import cv2
import numpy as np
import pytest

from rtmo_plugin.checkpoints.zoo import describe_url, fetch, resumable_download
from rtmo_plugin.downloads import DownloadLimitError, open_url
from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.media import images
from rtmo_plugin.media.sources import read_frames
from tests.hostile_server import cache  # noqa: F401  (a fixture)

HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
CHUNKED = HEADER + b"Transfer-Encoding: chunked\r\n\r\n"


@contextlib.contextmanager
def serve(first, then=b"", pause=0.0):
    """Answer each request with ``first`` at once, and with ``then`` again and again while the client listens."""
    stopped = threading.Event()

    def answer(client):
        with client, contextlib.suppress(OSError):
            client.recv(4000)
            client.sendall(first)
            while then and not stopped.is_set():
                client.sendall(then)
                stopped.wait(pause)

    def accept(listener):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/image.png"
        finally:
            stopped.set()
            listener.shutdown(socket.SHUT_RDWR)


def read(url, max_bytes=10**6, timeout_s=1.0, total_s=None):
    with open_url(url, timeout_s=timeout_s, total_s=total_s) as answer:
        return b"".join(answer.read_chunks(max_bytes))


SLOW = {
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "header": (HEADER + b"X: ", b"x"),
    "headers": (HEADER, b"X: y\r\n"),
    "body": (HEADER + b"\r\n", b"x"),
    "known length": (HEADER + b"Content-Length: 1000000\r\n\r\n", b"x"),
    "chunks": (CHUNKED, b"1\r\nx\r\n"),
    "size of a chunk": (CHUNKED, b"0"),
    "trailer": (CHUNKED + b"0\r\n", b"X: y\r\n"),
}


@pytest.mark.parametrize("kind", SLOW)
def test_servers_that_drip_are_left(kind):
    start = time.perf_counter()
    with serve(*SLOW[kind], pause=0.05) as url, pytest.raises((OSError, http.client.HTTPException)):
        read(url, timeout_s=0.3)
    assert time.perf_counter() - start < 30  # a part of a second in truth, and without a limit no end


@pytest.mark.parametrize(("first", "then"), [(HEADER + b"\r\n", bytes(50_000)), (CHUNKED, b"5\r\nhello\r\n" * 5000)])
def test_answers_without_end_are_cut(first, then):
    with serve(first, then) as url:
        with pytest.raises(DownloadLimitError, match="has more than 1 MB, the limit"):
            read(url, timeout_s=10)
        with pytest.raises(DownloadLimitError, match="takes more time than the limit"):
            read(url, max_bytes=10**12, timeout_s=10, total_s=0.5)


def test_headers_without_end_are_cut():
    with serve(HEADER, b"X: y\r\n" * 1000) as url, pytest.raises(http.client.HTTPException):
        read(url, timeout_s=10)


def test_a_good_answer_is_whole():
    body = np.random.default_rng(0).bytes(300_000)
    with serve(HEADER + b"Content-Length: 300000\r\n\r\n" + body) as url:
        assert read(url) == body
    assert "download watch" not in [thread.name for thread in threading.enumerate()]


def test_an_image_that_never_comes_is_one_sentence(monkeypatch):
    monkeypatch.setattr(images, "DOWNLOAD_TIMEOUT_S", 0.5)
    with serve(*SLOW["header"], pause=0.05) as url:
        (frame,) = read_frames(url)
        assert frame.error == f"{url} cannot be read: no answer came in 0.5 s."
    with serve(*SLOW["body"], pause=0.05) as url:
        (frame,) = read_frames(url)
        assert frame.error == f"{url} cannot be read: less than 64 KiB came in 0.5 s."


def test_an_image_without_end_is_one_sentence(monkeypatch):
    monkeypatch.setattr(images, "MAX_DOWNLOAD_BYTES", 2 * 10**6)
    with serve(HEADER + b"\r\n", bytes(100_000)) as url:
        (frame,) = read_frames(url)
        assert frame.error == f"{url} has more than 2 MB, the limit for an image."
    content = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    with serve(HEADER + f"Content-Length: {len(content)}\r\n\r\n".encode() + content) as url:
        (frame,) = read_frames(url)
        assert frame.image.shape == (8, 8, 3)


@pytest.mark.parametrize("is_announced", [False, True])
def test_a_model_without_end_is_one_sentence(cache, monkeypatch, is_announced):  # noqa: F811
    monkeypatch.setattr(resumable_download, "MAX_DOWNLOAD_BYTES", 2 * 10**6)
    length = b"Content-Length: 3000000\r\n" if is_announced else b""
    with serve(HEADER + length + b"\r\n", bytes(100_000)) as url:
        address = url.replace("image.png", "model.pth")
        with pytest.raises(MissingFileError, match=r"it has more than 2 MB, the limit"):
            fetch(describe_url(address))
    assert not [path for path in cache.iterdir() if path.suffix != ".lock"]


def test_a_model_that_never_comes_is_one_sentence(cache):  # noqa: F811
    start = time.perf_counter()
    is_late = pytest.raises(MissingFileError, match=r"no answer came in 1 s|timed out")
    with socket.create_server(("127.0.0.1", 0)) as silent, is_late:
        fetch(describe_url(f"http://127.0.0.1:{silent.getsockname()[1]}/model.pth"), timeout_s=1.0)
    with serve(*SLOW["headers"], pause=0.1) as url, pytest.raises(MissingFileError, match=r"no answer came in 1 s"):
        fetch(describe_url(url.replace("image.png", "model.pth")), timeout_s=1.0)
    assert time.perf_counter() - start < 60
    assert cache.is_dir()


def test_parameters_that_unpack_to_gigabytes_are_refused(tmp_path):
    from rtmo_plugin.runtime.coordinate_decoder import CoordinateParameters

    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("weight.npy", "w") as member:
        header = str({"descr": "<f4", "fortran_order": False, "shape": (120 * 2**20,)}).ljust(117) + "\n"
        member.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        for _ in range(120):
            member.write(bytes(2**20))
    assert path.stat().st_size < 2 * 10**6
    with pytest.raises(DataError, match=r"bomb\.npz unpacks to more than 100 MB, the limit\."):
        CoordinateParameters.load(path)
