"""A damaged archive in the zoo is one sentence, and the next source is tried."""

import hashlib
import io
import zipfile

import pytest

from rtmo_plugin.checkpoints.zoo import CATALOGUE, ONNX, Weights, describe_url, fetch, fetching, find_weights, locate
from rtmo_plugin.errors import CheckpointError, MissingFileError
from tests.hostile_server import NOWHERE, cache, server  # noqa: F401  (fixtures)
from tests.tools.test_tools import run_in_process

pytestmark = pytest.mark.usefixtures("cache")
MODEL = bytes(range(256)) * 40
NAME = "rtmo-s_body7-onnx"


def pack(content=MODEL, compression=zipfile.ZIP_DEFLATED, name="end2end.onnx"):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def put(content, place, *values):
    changed = bytearray(content)
    changed[place : place + len(values)] = bytes(values)
    return bytes(changed)


def spoil(compression):
    """Return an archive whose compressed bytes are nonsense."""
    content = pack(compression=compression)
    start = content.index(b"end2end.onnx") + len(b"end2end.onnx")
    return put(content, start, *[0xFF] * 30)


INDEX = pack().rindex(b"PK\x01\x02")  # where the index of the archive begins
END = pack().rindex(b"PK\x05\x06")
DAMAGED = {
    "empty": b"",
    "a web page": b"<html>",
    "cut in the middle": pack()[: len(pack()) // 2],
    "cut at the end": pack()[:-4],
    "deflate": spoil(zipfile.ZIP_DEFLATED),
    "bzip2": spoil(zipfile.ZIP_BZIP2),
    "lzma": spoil(zipfile.ZIP_LZMA),
    "another checksum": put(pack(), INDEX + 16, 1, 2, 3, 4),
    "encrypted": put(put(pack(), INDEX + 8, 1), 6, 1),
    "an unknown compression": put(put(pack(), INDEX + 10, 77), 8, 77),
    "an index from nowhere": put(pack(), END + 16, 255, 255, 255, 127),
    "an entry from nowhere": put(pack(), INDEX + 42, 255, 255, 255, 127),
    "an entry of another name": put(pack(), 30, *b"x"),
    "a name that is not text": put(put(pack(name="é.onnx"), INDEX + 46, 0xFF), INDEX + 9, 8),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_the_next_mirror_is_tried(server, cache, monkeypatch, kind):  # noqa: F811
    monkeypatch.setenv("RTMO_MIRRORS", f"{server.url}/a/{{file}} {server.url}/b/{{file}}")
    weights = Weights(NAME, f"{NOWHERE}/mine.zip", ONNX, hashlib.sha256(MODEL).hexdigest())
    server.files = {"a/mine.zip": DAMAGED[kind], "b/mine.zip": pack()}
    assert fetch(weights).read_bytes() == MODEL
    assert [name for name, _ in server.requests][-1] == "b/mine.zip"
    assert [path.name for path in cache.iterdir() if path.suffix != ".lock"] == ["mine.onnx"]


@pytest.mark.parametrize("kind", DAMAGED)
def test_one_that_was_put_there_by_hand_is_one_sentence(cache, kind):  # noqa: F811
    cache.mkdir(parents=True)
    (cache / "mine.zip").write_bytes(DAMAGED[kind])
    with pytest.raises(CheckpointError, match=r"mine\.zip cannot be used: it is not a whole archive"):
        fetch(Weights("mine", f"{NOWHERE}/mine.zip", ONNX))
    assert [path.name for path in cache.iterdir() if path.suffix != ".lock"] == ["mine.zip"]


def test_a_model_that_is_larger_than_any_is_not_unpacked(cache, monkeypatch):  # noqa: F811
    cache.mkdir(parents=True)
    monkeypatch.setattr(fetching, "_MAX_MODEL_BYTES", 3_000_000)
    (cache / "mine.zip").write_bytes(pack(bytes(50_000_000)))
    with pytest.raises(CheckpointError, match=r"mine\.zip cannot be used: its model has more than"):
        fetch(Weights("mine", f"{NOWHERE}/mine.zip", ONNX))
    assert [path.name for path in cache.iterdir() if path.suffix != ".lock"] == ["mine.zip"]


def test_a_full_disk_is_not_the_archives_fault(cache, monkeypatch):  # noqa: F811
    cache.mkdir(parents=True)
    (cache / "mine.zip").write_bytes(pack())
    (cache / "mine.onnx.part").mkdir()  # where the model would be written
    with pytest.raises(MissingFileError, match=r"mine\.onnx cannot be written: Is a directory"):
        fetch(Weights("mine", f"{NOWHERE}/mine.zip", ONNX))
    assert (cache / "mine.zip").read_bytes() == pack()


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name.startswith("rtmo-s")])
def test_the_path_and_the_error_name_one_place_where_the_file_is_then_found(cache, monkeypatch, capsys, name):  # noqa: F811
    weights = find_weights(name)
    monkeypatch.setattr(fetching, "list_urls", lambda weights: [f"{NOWHERE}/{weights.file}"])
    _, out, _ = run_in_process(capsys, "zoo", "path", name)
    place = out.strip()
    with pytest.raises(MissingFileError) as error:
        fetch(weights)
    assert f"put the file at {place}" in str(error.value)
    assert place == str(locate(weights))
    locate(weights).parent.mkdir(parents=True, exist_ok=True)
    locate(weights).write_bytes(b"by hand")
    if weights.sha256:
        with pytest.raises(CheckpointError, match="is not the published file"):  # it is looked for there
            fetch(weights)
    else:
        assert fetch(weights) == locate(weights)


@pytest.mark.parametrize("name", ["..", ".", "a/..", f"{'a' * 5000}.pth", "a%00.pth/..", "\x1b[2J.pth"])
def test_addresses_whose_end_cannot_be_the_name_of_a_file(name):
    with pytest.raises(MissingFileError, match="is not the address of a file"):
        describe_url(f"{NOWHERE}/{name}")
