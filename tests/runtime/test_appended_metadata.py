"""A model with metadata behind it is read whole or refused, before a runtime sees a byte of it."""

import io
import json
import zipfile

import pytest

from rtmo_plugin.errors import DataError
from rtmo_plugin.files import compute_hash
from rtmo_plugin.runtime.engines.appended_metadata import append_metadata, read_model

CONTENT = b"\x1c\0\0\0TFL3" + bytes(range(100))
STRINGS = {"cut": '"raw"', "classes": '["person"]'}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(CONTENT)
    append_metadata(path, STRINGS)
    return path


def read(path):
    return read_model(path)


def test_the_hash_is_of_the_model_alone(path, tmp_path):
    content, strings = read(path)
    assert content == path.read_bytes()
    assert content.startswith(CONTENT)
    (tmp_path / "before").write_bytes(CONTENT)
    assert strings == {**STRINGS, "content_sha256": compute_hash(tmp_path / "before")}


def flip_bit(path, content, place):
    """Write a file with one bit changed; which one of a byte differs from byte to byte."""
    path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])


def test_a_flipped_bit_of_the_model_is_found(path):
    whole = path.read_bytes()
    for place in range(len(CONTENT)):
        flip_bit(path, whole, place)
        with pytest.raises(DataError, match=r"model\.tflite (is damaged: |cannot be read as a model of LiteRT: )"):
            read(path)


def test_a_flipped_bit_behind_the_model_changes_nothing_or_is_refused(path):
    whole, expected, num_refused = path.read_bytes(), read(path)[1], 0
    for place in range(len(CONTENT), len(whole)):
        flip_bit(path, whole, place)
        try:
            assert read(path)[1] == expected
        except DataError:
            num_refused += 1
    assert num_refused > 150  # the others are dates and attributes of the archive


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as a model of LiteRT: it does not begin as such a file"),
        (b"nothing", "cannot be read as a model of LiteRT"),
        (CONTENT[:50], "is not an RTMO model, or its end is missing: it has no metadata of `rtmo export`"),
        (CONTENT + b"PK\5\6" + bytes(18), "is not an RTMO model"),
    ],
)
def test_a_file_without_metadata_is_refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"model\.tflite {message}"):
        read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(STRINGS), "has metadata without the SHA-256 of its content: export it again"),
        ("[1]", "has metadata that are not an object of strings"),
        ('{"a": 1}', "has metadata that are not an object of strings"),
        ("{", "has metadata that cannot be read: they are damaged"),
        (" " * (5 * 1024**2), "has metadata that are not an object of strings of at most 4194304 bytes"),
    ],
)
def test_other_metadata_are_refused(path, text, message):
    archive = io.BytesIO(CONTENT)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("metadata.json", text)
    path.write_bytes(archive.getvalue())
    with pytest.raises(DataError, match=rf"model\.tflite {message}"):
        read(path)
