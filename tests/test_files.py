"""Files are written whole or not at all, plans are checked before any work, and bad input is one sentence."""

import os
import re
import stat
from pathlib import Path

import pytest

from rtmo_plugin.errors import DataError, MissingFileError, OutputError
from rtmo_plugin.files import check_outputs, join_inside, read_json, read_text, replace_file, write_file, write_json


def test_a_file_is_written_whole(tmp_path):
    path = write_file(tmp_path / "new" / "a.txt", ["first ", "second"])
    assert path.read_text() == "first second"
    write_file(path, b"bytes")
    assert path.read_bytes() == b"bytes"
    assert os.listdir(path.parent) == ["a.txt"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600


def test_a_failure_keeps_the_older_file(tmp_path):
    path = write_file(tmp_path / "a.txt", "old")

    def parts():
        yield "new"
        raise RuntimeError("the computation failed")

    with pytest.raises(RuntimeError):
        write_file(path, parts())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_two_writers_of_one_file_do_not_share_a_draft(tmp_path):
    path = tmp_path / "a.npz"
    with replace_file(path) as first, replace_file(path) as second:
        assert first != second
        assert first.suffix == second.suffix == ".npz"
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # its block ended last
    assert os.listdir(tmp_path) == ["a.npz"]


def test_an_exclusive_file_is_never_replaced(tmp_path):
    path = tmp_path / "a.txt"

    def parts():
        yield "new"
        path.write_text("came between")

    with pytest.raises(OutputError, match="exists already"):
        write_file(path, parts(), overwrite=False)
    assert path.read_text() == "came between"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("name", ["folder", "pipe", "x" * 256 + ".txt", "file/below.txt"])
def test_what_cannot_be_written_is_a_sentence(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for write in (lambda path: write_file(path, "text"), lambda path: check_outputs([path])):
        with pytest.raises(OutputError, match=re.compile("folder|regular|255 are possible|Not a directory|written")):
            write(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_numbers_that_are_not_finite_are_not_json(tmp_path):
    with pytest.raises(OutputError, match=r"a\.json cannot be written as JSON"):
        write_json(tmp_path / "a.json", {"score": float("nan")})
    assert os.listdir(tmp_path) == []
    assert read_json(write_json(tmp_path / "a.json", {"name": "Zürich"})) == {"name": "Zürich"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"a": 1', "cut off"),
        (b'{"a" 1}', "line 1, column 6"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe{", "not text in UTF-8: byte 0 is 0xff"),
        (b"1" * 5000, "cannot be read as JSON"),
    ],
)
def test_broken_json_is_a_sentence(tmp_path, content, sentence):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(sentence)):
        read_json(tmp_path / "a.json")


def test_missing_files(tmp_path):
    with pytest.raises(MissingFileError, match=r"The file .* does not exist"):
        read_text(tmp_path / "a.txt")
    with pytest.raises(DataError, match="not a file name"):
        read_text("a\0b")


@pytest.mark.parametrize("name", ["a.jpg", "sub/a.jpg", "..a.jpg", "a..jpg", "übung/ü.jpg", "./a.jpg"])
def test_names_inside_a_folder(tmp_path, name):
    assert join_inside(tmp_path, name) == Path(tmp_path, name)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/a",
        "../a",
        "a/../../b",
        "",
        ".",
        "a\0b",
        "a\nb",
        "C:\\a",
        "\\\\host\\a",
        "..\\a",
        "x" * 300,
        "link/a",
        "\x1b[2J",
    ],
)
def test_names_outside_a_folder(tmp_path, name):
    target = tmp_path / "target"
    target.mkdir()
    (target / "link").symlink_to(tmp_path)
    with pytest.raises((DataError, OutputError)):
        join_inside(target, name)


def test_outputs_are_compared_with_inputs_by_identity(tmp_path):
    photo = write_file(tmp_path / "photo.jpg", "pixels")
    (tmp_path / "soft.jpg").symlink_to(photo)
    os.link(photo, tmp_path / "hard.jpg")
    (tmp_path / "alias").symlink_to(tmp_path)
    for output in ("photo.jpg", "soft.jpg", "hard.jpg", "alias/photo.jpg", "alias/../" + tmp_path.name + "/photo.jpg"):
        with pytest.raises(OutputError, match="would be overwritten"):
            check_outputs([tmp_path / "other.jpg", tmp_path / output], [photo])
    check_outputs([tmp_path / "new" / "photo.jpg"], [photo, tmp_path / "missing.jpg"])
    assert sorted(os.listdir(tmp_path)) == ["alias", "hard.jpg", "photo.jpg", "soft.jpg"]


def test_two_outputs_of_one_name(tmp_path):
    (tmp_path / "alias").symlink_to(tmp_path)
    with pytest.raises(OutputError, match="written twice"):
        check_outputs([tmp_path / "a.jpg", tmp_path / "alias" / "a.jpg"])
