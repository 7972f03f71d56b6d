"""What the server of ``rtmo serve`` answers, and to whom; no browser is needed."""

import http.client
import json
import re
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import pytest

from rtmo_plugin import Pose
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.serving import app, server
from rtmo_plugin.serving.uploads import Limits
from rtmo_plugin.webpage import page_files
from tests.conftest import ROOT
from tests.tiny_files import make_image


def request(port, method, path, body=None, **headers):
    """Return status, headers and content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, given, encode_chunked=not isinstance(body, (bytes, type(None))))
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    is_json = answer.headers.get("Content-Type") == "application/json"
    return answer.status, answer.headers, json.loads(content) if is_json else content


def encode(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


def make_bomb(side):
    """Return a PNG that claims ``side`` x ``side`` pixels in a few bytes."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return start + bytes(4) + b"IDAT" + bytes(4) + bytes(4) + b"IEND\xaeB`\x82"


def test_people_are_those_of_pose(port, tiny_file):
    image = make_image()
    status, _, answer = request(port, "POST", "/people", encode(image))
    assert status == 200
    expected = Pose(tiny_file, score_thr=0.1)(image).to_dict()["people"]
    assert len(expected) > 2
    assert answer["people"] == expected
    assert (answer["width"], answer["height"], answer["error"]) == (150, 70, None)


def test_images_are_turned_upright(port):
    turned = bytearray(encode(make_image(), ".jpg"))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned[2:2] = b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif
    answer = request(port, "POST", "/people", bytes(turned))[2]
    assert (answer["width"], answer["height"]) == (70, 150)


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (bytes(200_001), 413, "The file has more than 0.2 MB, which is the limit: send a smaller one."),
        (make_bomb(60_000), 413, "The file has 60000 x 60000 pixels, more than the limit of 0.5 million; "),
        (make_bomb(708), 413, "The file has 708 x 708 pixels, more than the limit of 0.5 million; use"),
        (b"hello", 415, "The file is not an image: give JPEG, PNG, WebP, BMP or TIFF."),
        (b"", 415, "The file is not an image: give JPEG, PNG, WebP, BMP or TIFF."),
        (make_bomb(100), 422, "The file is damaged: its pixels cannot be decoded."),
        (encode(make_image(), ".jpg")[:-200], 422, "The file is "),  # cut off, or nothing that OpenCV reads
    ],
    ids=["bytes", "pixels", "few pixels too many", "words", "nothing", "header alone", "half"],
)
def test_what_is_refused_has_one_sentence(port, content, status, sentence):
    answered, _, answer = request(port, "POST", "/people", content)
    assert answered == status
    assert answer["error"].startswith(sentence)
    assert list(answer) == ["error"]


def test_a_body_of_unknown_length_is_bounded_too(port):
    assert request(port, "POST", "/people", iter([bytes(50_000)] * 40), Transfer_Encoding="chunked")[0] == 413


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "192.168.1.7:8000", "[::1]:8000"])
def test_own_names_are_answered(port, host):
    assert request(port, "GET", "/model", Host=host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8000", "", "[::1", "127.0.0.1.evil.example"])
def test_foreign_names_are_not_answered(port, host):
    """A site that gives its own name this machine's address is the same origin to a browser."""
    for method, path in (("GET", "/"), ("GET", "/model"), ("POST", "/people")):
        status, _, answer = request(port, method, path, Host=host)
        assert status == 421
        assert answer["error"].startswith("This server does not answer to the name")


def test_pages_of_other_sites_are_not_answered(port):
    own = f"127.0.0.1:{port}"
    image = encode(make_image())
    assert request(port, "POST", "/people", image, Origin=f"http://{own}")[0] == 200
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port + 1}", "http://[", ""):
        assert request(port, "POST", "/people", image, Origin=origin)[0] == 403
    status, headers, _ = request(
        port, "OPTIONS", "/people", Origin=f"http://{own}", Access_Control_Request_Method="POST"
    )
    assert status == 405
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_page_needs_nothing_else(port):
    status, headers, page = request(port, "GET", "/")
    assert status == 200
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    files = [request(port, "GET", path)[2] for path in app._FILES]
    addresses = re.findall(rb"""(?:https?:)?//[\w.]+[^\s'"`]*""", b"\n".join(files))
    named = {b"http://www.w3.org/2000/svg", b"http://localhost:8000."}  # the second is an example in a sentence
    assert {each for each in addresses if each.startswith((b"http", b"//www"))} == named
    linked = re.findall(rb'(?:src|href)="([^"]+)"', page)
    assert {each for each in linked if not each.startswith(b"data:")} == {
        b"style.css",
        b"page.js",
        b"opened_as_file.js",
    }
    assert request(port, "GET", "/../app.py")[0] == 404


def test_a_port_that_is_taken_is_one_sentence(port, tiny_file):
    command = [sys.executable, "-m", "rtmo_plugin", "serve", str(tiny_file), "--port", str(port)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    sentence = (
        f"error: 127.0.0.1:{port} cannot be opened (Address already in use): choose another --port, or 0 for any."
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{sentence}\n")


def test_whoever_opens_it_to_others_is_warned(capsys):
    with server.open_port("127.0.0.1", 0) as listener:
        server.announce(listener, is_opened=False)
        assert capsys.readouterr().err == ""
    with server.open_port("0.0.0.0", 0) as listener:
        server.announce(listener, is_opened=False)
        printed = capsys.readouterr()
        number = listener.getsockname()[1]
    assert printed.out == f"The page is http://localhost:{number}; Ctrl-C ends it.\n"
    assert printed.err.startswith(f"warning: 0.0.0.0:{number} is open to all machines that reach this one")


def test_names_and_limits_that_cannot_be():
    with pytest.raises(ConfigError, match=r"^192\.0\.2\.1:80 cannot be opened"):
        server.open_port("192.0.2.1", 80)
    with pytest.raises(ConfigError, match=r"^--port 99999: ports go from 0 to 65535\."):
        server.open_port("127.0.0.1", 99999)
    with pytest.raises(ConfigError, match=r"^--host no/name is not an address of this machine: "):
        server.open_port("no/name", 0)
    with pytest.raises(ConfigError, match="Limits must be above 0, got 0 MB"):
        Limits(megabytes=0)


def test_every_file_of_the_page_is_sent():
    pages = (page_files.PAGE, Path(app.__file__).with_name("page"))
    assert {path for page in pages for path in page.iterdir()} == set(app._FILES.values())


def test_address_of_version_6():
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener = server.open_port("::1", 0)
    except ConfigError:
        pytest.skip("this machine has no IPv6 address")
    with listener:
        assert server.get_address(listener) == f"http://[::1]:{listener.getsockname()[1]}"
        assert server.is_loopback(listener)
