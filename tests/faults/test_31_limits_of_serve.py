"""No client of ``rtmo serve`` keeps others out: not by an image, a slow connection, or by many.

The hostile inputs are made here, and are sent to a server of this test on the loopback alone.
"""

import asyncio
import contextlib
import http.client
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from rtmo_plugin.serving import connections, uploads
from rtmo_plugin.serving.connections import LimitedProtocol
from rtmo_plugin.serving.decoder_pool import DecoderPool
from rtmo_plugin.serving.uploads import Inbox, Limits, UploadError
from tests.conftest import ROOT


def make_image(width=150, height=70):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encode(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


def repeat_scans(size_wh, number):
    """Return a progressive JPEG whose last scan comes ``number`` times more."""
    out = io.BytesIO()
    Image.new("L", size_wh, 90).save(out, "JPEG", progressive=True)
    content = out.getvalue()
    scan = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + scan * number + content[-2:]


@contextlib.contextmanager
def run_server(file, *options):
    """Run ``rtmo serve``, and give its process and port."""
    command = [sys.executable, "-u", "-m", "rtmo_plugin", "serve", str(file), "--port", "0", "--threads", "1", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            yield process, int(re.search(r":(\d+);", line)[1])
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port(tiny_file):
    with run_server(tiny_file) as (_, number):
        assert send(number, encode(make_image()))[0] == 200  # its processes are there
        yield number


def send(port, body, method="POST", path="/people", timeout=60):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request(method, path, body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if content.startswith(b"{") else content


def measure_answers(port, until):
    """Return the longest time that a small request took while ``until`` ran."""
    times = []
    worker = threading.Thread(target=until)
    worker.start()
    while worker.is_alive() or not times:
        start = time.perf_counter()
        assert send(port, None, "GET", "/model")[0] == 200
        times.append(time.perf_counter() - start)
        time.sleep(0.02)
    worker.join()
    return max(times)


def test_a_thousand_scans_are_refused_at_once(port):
    content, answers = repeat_scans((4000, 3000), 1000), []
    start = time.perf_counter()
    slowest = measure_answers(port, lambda: answers.append(send(port, content)))
    assert time.perf_counter() - start < 20  # a fraction of a second in truth; decoding takes 29 s
    assert slowest < 1
    ((status, answer),) = answers
    assert (status, answer["error"]) == (
        413,
        "The file is a progressive JPEG of more than 100 scans, the limit for 4000 x 3000 pixels; save it again.",
    )


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8" + b"\xff" * (19 * 10**6),
        b"\xff\xd8" + b"\xff\xfe\0\2" * (4 * 10**6),
        b"\xff\xd8" + b"\xff\xd8" * (9 * 10**6),
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0tEXt\xb5\xfc\xcb\x22" * 10**6,
    ],
    ids=["filling", "comments", "starts", "texts"],
)
def test_endless_headers_do_not_block_others(port, content):
    answers = []
    assert measure_answers(port, lambda: answers.append(send(port, content))) < 1
    assert answers[0][0] in (413, 415)
    assert answers[0][1]["error"].startswith("The file ")


def test_half_a_header_does_not_block_others(port):
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            half.sendall(b"GET /model HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert send(port, None, "GET", "/model")[0] == 200  # it was 503
        assert send(port, encode(make_image()))[0] == 200


def test_more_connections_than_there_may_be(port):
    with contextlib.ExitStack() as stack:
        for _ in range(connections.MAX_CONNECTIONS + 30):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert send(port, encode(make_image()))[0] == 200


def test_slow_bodies_do_not_block_others(port):
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(b"POST /people HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n\xff")
        assert send(port, encode(make_image()))[0] == 200


def test_slow_bodies_on_every_connection_do_not_block_others(port):
    with contextlib.ExitStack() as stack:
        for _ in range(connections.MAX_CONNECTIONS + 30):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            with contextlib.suppress(OSError):
                slow.sendall(b"POST /people HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n\xff")
        time.sleep(0.5)
        assert send(port, encode(make_image()))[0] == 200


def test_ctrl_c_ends_it_while_images_arrive(tiny_file):
    with run_server(tiny_file) as (process, port), contextlib.ExitStack() as stack:
        for _ in range(200):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(b"POST /people HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n\xff")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0  # two hundred unread tracebacks do not block it
        assert process.stderr.read() == ""


def test_ctrl_c_ends_it_while_images_are_decoded(tiny_file):
    content = repeat_scans((7000, 7000), 38)  # takes seconds, and is within the limits
    with run_server(tiny_file) as (process, port):
        assert send(port, encode(make_image()))[0] == 200

        def give_up():
            with contextlib.suppress(OSError, http.client.HTTPException):
                send(port, content)

        workers = [threading.Thread(target=give_up) for _ in range(4)]
        for worker in workers:
            worker.start()
        time.sleep(1)
        start = time.perf_counter()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert time.perf_counter() - start < 15
        for worker in workers:
            worker.join()


@pytest.fixture(scope="module")
def decoders():
    with DecoderPool(20 * 10**6, decode_s=1.5, num_decoders=1) as pool:
        yield pool


def test_an_image_that_takes_too_long_is_given_up_and_others_go_on(decoders):
    image = make_image()
    assert np.array_equal(decoders.decode(encode(image)), image)
    decoders._all[0]._process.send_signal(signal.SIGSTOP)  # as slow as can be, on a machine of any speed
    with pytest.raises(UploadError, match=r"takes more than 1\.5 seconds to decode, the limit; save the image again"):
        decoders.decode(encode(image))
    assert np.array_equal(decoders.decode(encode(image)), image)


def test_a_decoder_that_ends_is_started_again(decoders):
    image = make_image()
    decoders._all[0]._process.kill()
    decoders._all[0]._process.wait()
    assert np.array_equal(decoders.decode(encode(image)), image)


def test_images_of_every_size_go_through(decoders):
    for size in ((1, 1), (3000, 2000)):
        image = make_image(*size)
        assert np.array_equal(decoders.decode(encode(image, ".bmp")), image)


def test_a_closed_pool_has_no_processes():
    pool = DecoderPool(10**6)
    pool.close()
    assert all(each._process.poll() is not None for each in pool._all)


async def receive(inbox, chunks):
    async with inbox.receive(chunks) as content:
        return content


async def drip(chunk, seconds, number=10**6):
    for _ in range(number):
        yield chunk
        await asyncio.sleep(seconds)


def test_uploads_have_a_lowest_rate(monkeypatch):
    monkeypatch.setattr(uploads, "GRACE_S", 0.2)
    start = time.perf_counter()
    with pytest.raises(UploadError, match=r"did not arrive within 60 seconds, or at less than 20 kB/s\.") as found:
        asyncio.run(receive(Inbox(Limits()), drip(b"x", 0.01)))
    assert found.value.status == 408
    assert time.perf_counter() - start < 30  # the whole upload would take hours
    assert len(asyncio.run(receive(Inbox(Limits()), drip(bytes(20_000), 0.05, 10)))) == 200_000


def test_uploads_have_a_longest_time(monkeypatch):
    monkeypatch.setattr(uploads, "UPLOAD_S", 0.3)
    with pytest.raises(UploadError):
        asyncio.run(receive(Inbox(Limits()), drip(bytes(1000), 0.01)))


def test_memory_for_uploads_is_bounded():
    """One file more than there may be; the next one is taken when another is done."""
    inbox = Inbox(Limits(megabytes=0.001))

    async def hold(number):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(number):
                await stack.enter_async_context(inbox.receive(drip(bytes(1000), 0, 1)))

    asyncio.run(hold(uploads.HELD_FILES))
    with pytest.raises(UploadError, match="too many files") as found:
        asyncio.run(hold(uploads.HELD_FILES + 1))
    assert found.value.status == 503
    asyncio.run(hold(uploads.HELD_FILES))


@contextlib.contextmanager
def run_small_server():
    """Run a server with the protocol alone, in a thread, and give its address."""

    async def answer(request):
        return PlainTextResponse("x" * int(request.query_params.get("size", "1")))

    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])
    config = uvicorn.Config(app, http=LimitedProtocol, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join()


def read_answer(client):
    """Return an answer whose body is one letter."""
    content = b""
    while not content.endswith(b"\r\n\r\nx"):
        content += client.recv(4000)
    return content


def drip_until_closed(client, data, pause=0.05, most=30.0):
    """Send byte after byte, and return the seconds until the server closes."""
    start = time.perf_counter()
    client.settimeout(most)
    with contextlib.suppress(ConnectionError):
        for byte in data * 1000:
            client.sendall(bytes([byte]))
            if time.perf_counter() - start > most:
                break
            time.sleep(pause)
        client.recv(100)
    return time.perf_counter() - start


def test_headers_have_a_time_also_after_an_answer(monkeypatch):
    monkeypatch.setattr(connections, "HEADER_S", 1.0)
    with run_small_server() as address:
        with socket.create_connection(address) as client:
            assert drip_until_closed(client, b"GET / HTTP/1.1\r\nX: ") < 20
        with socket.create_connection(address) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"200 OK" in read_answer(client)
            assert drip_until_closed(client, b"GET / HTTP/1.1\r\nX: ") < 20
        with socket.create_connection(address) as client:
            for _ in range(3):  # while complete requests may come one after another
                time.sleep(0.4)
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert b"200 OK" in read_answer(client)


def test_whole_requests_have_a_time(monkeypatch):
    """Also where the client does not read the answer."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.5)
    with run_small_server() as address, socket.create_connection(address) as client:
        client.sendall(b"GET /?size=50000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.5)
        received = 0
        client.settimeout(5)
        with contextlib.suppress(ConnectionError):
            while data := client.recv(2**20):
                received += len(data)
        assert received < 50_000_000
