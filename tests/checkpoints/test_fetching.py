"""Fetching from a server that stalls, truncates and lies: the right file comes, or none and a clear word."""

import hashlib
import threading
import time

import numpy as np
import pytest

from rtmo_plugin.checkpoints.zoo import Weights, describe_url, fetch
from rtmo_plugin.checkpoints.zoo.resumable_download import TIMEOUT_S
from rtmo_plugin.errors import CheckpointError, ConfigError, MissingFileError
from tests.hostile_server import NOWHERE, cache, server  # noqa: F401  (fixtures)

pytestmark = pytest.mark.usefixtures("cache")
CONTENT = np.random.default_rng(0).bytes(400_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f"model-{SHA256[:8]}_20231211.pth"
PLAIN = "model.pth"  # says nothing of its hash
SHORT_S = 1.0  # for servers that stall: the default would be long, and less is too little on a busy machine


@pytest.fixture
def get(server):  # noqa: F811
    """Return a function that fetches a file from the server, by name."""
    server.files = {NAME: CONTENT, PLAIN: CONTENT, "other-00000000.pth": CONTENT}
    return lambda name=NAME, **options: fetch(describe_url(f"{server.url}/{name}"), **options)


def list_files(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_file_is_downloaded_once(get, server, cache):  # noqa: F811
    path = get()
    assert path == cache / NAME
    assert path.read_bytes() == CONTENT
    assert get() == path
    assert server.ranges == [None]
    assert list_files(cache) == [NAME]


def test_file_in_the_cache_is_checked_and_kept(get, server, cache):  # noqa: F811
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(b"something else")
    with pytest.raises(CheckpointError, match=rf"{NAME} is not the published file: .* and not with {SHA256[:8]}: del"):
        get()
    assert (cache / NAME).read_bytes() == b"something else"
    assert server.requests == []


def test_file_in_a_cache_that_cannot_be_written_is_found(get, cache):  # noqa: F811
    get()
    (cache / f"{NAME}.lock").unlink(missing_ok=True)
    cache.chmod(0o500)
    try:
        assert get().read_bytes() == CONTENT
        assert not (cache / f"{NAME}.lock").exists()
    finally:
        cache.chmod(0o700)


def test_cache_that_is_a_file_is_named(get, tmp_path):
    (tmp_path / "torch").write_bytes(b"")
    with pytest.raises(MissingFileError, match=rf"{NAME} cannot be written: "):
        get()


@pytest.mark.parametrize("last", ["be good", "keep total"])
@pytest.mark.parametrize("name", [NAME, PLAIN])
def test_broken_connection_is_taken_up_where_it_broke(get, server, name, last):  # noqa: F811
    server.manners = ["break", "break", last]
    assert get(name).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=200000-", "bytes=300000-"]


def test_next_call_goes_on_with_what_the_last_one_left(get, server, cache):  # noqa: F811
    server.manners = ["break", "500"]
    with pytest.raises(MissingFileError, match="HTTP Error 500"):
        get()
    assert list_files(cache) == [f"{NAME}.part"]
    server.manners = ["be good"]
    assert get().read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=200000-"
    assert list_files(cache) == [NAME]


def test_server_that_ignores_range_is_read_from_the_beginning(get, server):  # noqa: F811
    server.manners = ["break", "ignore range"]
    assert get().read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=200000-"]


def test_part_that_is_the_whole_file_is_enough(get, server, cache):  # noqa: F811
    cache.mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(CONTENT)
    assert get().read_bytes() == CONTENT
    assert server.ranges == ["bytes=400000-"]


@pytest.mark.parametrize("part", [bytes(1000), bytes(500_000)], ids=["too short", "too long"])
def test_wrong_part_is_thrown_away(get, server, cache, part):  # noqa: F811
    cache.mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(part)
    assert get().read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(part)}-", None]


def test_file_that_changes_meanwhile_is_read_anew_when_no_hash_would_tell(get, server):  # noqa: F811
    server.manners = ["break", "be good"]
    changed, answer = bytes(400_000), server.RequestHandlerClass.send_body

    def change(handler, manner, body):
        answer(handler, manner, body)
        if manner == "break":
            server.tag, server.files[PLAIN] = '"2"', changed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.RequestHandlerClass, "send_body", change)
        assert get(PLAIN).read_bytes() == changed


def test_without_hash_and_version_a_broken_connection_means_all_again(get, server):  # noqa: F811
    server.tag, server.manners = None, ["break", "be good"]
    assert get(PLAIN).read_bytes() == CONTENT
    assert server.ranges == [None, None]


@pytest.mark.parametrize(
    ("manner", "words"),
    [
        ("404", "HTTP Error 404: Not Found"),
        ("500", "HTTP Error 500: Internal Server Error"),
        ("never answer", "timed out|no answer came in 1 s"),
        ("drip", r"less than 64 KiB came in 1 s"),
        ("lie", f"its SHA-256 begins with [0-9a-f]{{8}}, and not with {SHA256[:8]}"),
        ("web page", "a web page came in place of the file"),
    ],
)
def test_server_that_does_not_send_the_file_is_named_with_the_reason(get, server, cache, manner, words):  # noqa: F811
    server.manners = [manner]
    words = rf"/{NAME} cannot be downloaded \({words}\): put the file at {cache / NAME}"
    start = time.monotonic()
    with pytest.raises(MissingFileError, match=words):
        get(timeout_s=SHORT_S)
    assert time.monotonic() - start < TIMEOUT_S
    assert not (cache / NAME).exists()


def test_stalls_end_and_what_came_before_is_kept(get, server):  # noqa: F811
    server.manners = ["stall", "be good"]
    start = time.monotonic()
    assert get(timeout_s=SHORT_S).read_bytes() == CONTENT
    assert time.monotonic() - start < TIMEOUT_S
    assert server.ranges[0] is None
    assert 65_536 <= int(server.ranges[1].strip("bytes=-")) <= 200_000


def test_connection_that_breaks_off_again_and_again_is_given_up(get, server):  # noqa: F811
    server.manners = ["break"]
    with pytest.raises(MissingFileError, match="the connection broke after"):
        get()
    assert len(server.requests) < 10


def test_promise_of_more_than_the_file_has_is_refused_unless_the_hash_is_right(get, server):  # noqa: F811
    server.manners = ["promise more"]
    assert get().read_bytes() == CONTENT
    server.tag = None
    with pytest.raises(MissingFileError, match="the connection broke after 400000 of 400099 bytes"):
        get(PLAIN)


def test_bytes_that_were_not_asked_for_are_refused(get, server):  # noqa: F811
    server.manners = ["break", "other range"]
    with pytest.raises(MissingFileError, match="it was asked for the bytes from 200000 on, and sends others"):
        get()


def test_lie_leaves_nothing_behind(get, server, cache):  # noqa: F811
    server.manners = ["lie"]
    for _ in range(2):
        with pytest.raises(MissingFileError, match="SHA-256"):
            get()
    assert list_files(cache) == []
    with pytest.raises(MissingFileError, match="and not with 00000000"):
        get("other-00000000.pth")


@pytest.mark.parametrize("name", ["a.pth", " absent.pth"])
def test_address_that_leads_nowhere_is_named(name):
    with pytest.raises(MissingFileError, match=rf"{NOWHERE}/{name} cannot be downloaded"):
        fetch(describe_url(f"{NOWHERE}/{name}"))


@pytest.mark.parametrize("url", [NOWHERE, f"{NOWHERE}/", "http://[::1/a.pth"])
def test_address_of_no_file_is_refused(url):
    with pytest.raises(MissingFileError, match="is not the address of a file"):
        describe_url(url)


def test_hash_that_is_not_known_is_said(get, capsys):
    get(PLAIN)
    assert f"its SHA-256 is {SHA256}; no published one is known to compare with" in capsys.readouterr().err


def test_processes_that_want_one_file_download_it_once(get, server, cache):  # noqa: F811
    found, go = [], threading.Barrier(4)

    def run():
        go.wait()
        found.append(get())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [cache / NAME] * 4
    assert len(server.requests) == 1


def test_published_weights_are_tried_at_mirrors_first_and_then_at_the_host(server, cache, monkeypatch):  # noqa: F811
    monkeypatch.setenv("RTMO_MIRRORS", f"{server.url}/a {server.url}/b/")
    weights = Weights("rtmo-s_body7", f"{server.url}/host/{NAME}", sha256=SHA256)
    server.files = {f"{place}/{NAME}": CONTENT for place in ("a", "b", "host")}
    server.manners = ["lie", "break", "404", "be good"]
    assert fetch(weights).read_bytes() == CONTENT
    places = [(name.split("/")[0], ranged) for name, ranged in server.requests]
    assert places == [("a", None), ("b", None), ("b", "bytes=200000-"), ("host", "bytes=200000-")]


def test_offline_the_message_has_every_place_and_where_to_put_the_file(server, cache, monkeypatch):  # noqa: F811
    monkeypatch.setenv("RTMO_MIRRORS", server.url)
    with pytest.raises(MissingFileError) as error:
        fetch(Weights("rtmo-s_body7", f"{NOWHERE}/{NAME}", sha256=SHA256))
    message = str(error.value)
    assert message.startswith(f"rtmo-s_body7 cannot be downloaded ({server.url}/{NAME}: HTTP Error 404: Not Found; ")
    assert f"{NOWHERE}/{NAME}: [Errno" in message
    assert message.endswith(f"put the file at {cache / NAME}, or name a mirror in RTMO_MIRRORS.")


def test_wrong_mirror_is_refused_before_anything_is_asked(monkeypatch):
    monkeypatch.setenv("RTMO_MIRRORS", "example.org")
    with pytest.raises(ConfigError, match=r"RTMO_MIRRORS: example\.org is neither an address"):
        fetch(Weights("rtmo-s_body7", f"{NOWHERE}/{NAME}"))
