"""The package onnxruntime-web: fetched once and checked, or taken from a file or folder."""

import base64
import hashlib
import io
import json
import tarfile

import pytest

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.export import ort_web
from rtmo_plugin.export.ort_web import PACKAGE, RUNTIME_FILES, VERSION, fetch_ort_web, read_ort_web
from tests.hostile_server import NOWHERE, cache, server  # noqa: F401  (fixtures)

NAME = f"{PACKAGE}/-/{PACKAGE}-{VERSION}.tgz"


def make_files(**changed):
    """Return contents of the package's files by name; those of ``changed`` that are None are left out."""
    files = {name: name.encode() for name in RUNTIME_FILES}
    files["package.json"] = json.dumps({"name": PACKAGE, "version": VERSION}).encode()
    files["dist/ort.js"] = b"not needed"
    return {name: content for name, content in {**files, **changed}.items() if content is not None}


def pack(files):
    """Return files as an archive of npm's."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as opened:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def hash_of(content):
    return base64.b64encode(hashlib.sha512(content).digest()).decode()


@pytest.fixture
def registry(server, cache, tmp_path, monkeypatch):  # noqa: F811
    """Return a registry with the package, which has no other's hash, and an empty cache."""
    content = pack(make_files())
    server.files[NAME] = content
    monkeypatch.setattr(ort_web, "SHA512", hash_of(content))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("npm_config_registry", f"{server.url}/")
    return server


def test_package_is_downloaded_once(registry, tmp_path):
    found = read_ort_web(None)
    assert found.keys() == set(RUNTIME_FILES.values())
    assert found["ort.wasm.min.js"] == b"dist/ort.wasm.min.mjs"
    assert read_ort_web(None) == found
    assert [name for name, _ in registry.requests] == [NAME]
    assert fetch_ort_web() == tmp_path / f"caches/rtmo_plugin/{PACKAGE}-{VERSION}.tgz"


def test_download_goes_on_where_it_broke(registry, monkeypatch):
    registry.files[NAME] += bytes(300_000)  # zeros after an archive are ignored
    monkeypatch.setattr(ort_web, "SHA512", hash_of(registry.files[NAME]))
    registry.manners = ["break", "be good"]
    assert len(read_ort_web(None)) == len(RUNTIME_FILES)
    assert registry.ranges[0] is None
    assert registry.ranges[1].startswith("bytes=1")


def test_another_content_is_refused_and_not_kept(registry, tmp_path):
    registry.manners = ["lie"]
    with pytest.raises(
        MissingFileError, match=r"its SHA-512 is not the published one\): run `npm pack onnxruntime-web@"
    ):
        read_ort_web(None)
    assert [each.suffix for each in (tmp_path / "caches/rtmo_plugin").iterdir()] == [".lock"]


def test_damaged_package_in_the_cache_is_named(registry):
    fetch_ort_web().write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"is not onnxruntime-web .* as published: delete it"):
        read_ort_web(None)


@pytest.mark.usefixtures("cache")
def test_without_a_network_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", NOWHERE)
    with pytest.raises(MissingFileError) as caught:
        read_ort_web(None)
    sentence = str(caught.value)
    assert sentence.startswith(f"onnxruntime-web {VERSION}, which runs the model in browsers, cannot be downloaded (")
    assert sentence.endswith("with --ort-web, or name another registry in npm_config_registry.")


def test_package_of_the_user_may_be_a_file_or_a_folder(tmp_path):
    files = make_files()
    (tmp_path / "mine.tgz").write_bytes(pack(files))
    for name, content in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    assert read_ort_web(tmp_path / "mine.tgz") == read_ort_web(tmp_path / "folder")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pack(make_files(**{"dist/ort.webgpu.min.mjs": None})), "has no dist/ort.webgpu.min.mjs: it is not"),
        (pack(make_files(**{"package.json": b'{"name": "left-pad"}'})), "is not the npm package onnxruntime-web"),
        (pack(make_files(**{"package.json": b"[]"})), "is not the npm package onnxruntime-web"),
        (pack(make_files(**{"package.json": b"{"})), "is not valid JSON"),
        (pack({}), "has no package.json"),
        (pack(make_files())[:200], r"is not a package of npm \(\.tgz\), or damaged"),
        (b"hello", r"is not a package of npm \(\.tgz\), or damaged"),
    ],
    ids=["file missing", "other name", "list", "broken json", "empty", "cut short", "no archive"],
)
def test_what_is_not_the_package_is_refused(tmp_path, content, words):
    (tmp_path / "mine.tgz").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_ort_web(tmp_path / "mine.tgz")


def test_package_that_does_not_exist(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.tgz does not exist"):
        read_ort_web(tmp_path / "none.tgz")
