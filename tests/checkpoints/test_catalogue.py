"""The catalogue, the user's mirrors, the archives and the table."""

import hashlib
import io
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml

from rtmo_plugin.checkpoints.zoo import (
    CATALOGUE,
    describe_url,
    fetch,
    find_weights,
    format_catalogue,
    get_cache_folder,
    locate,
)
from rtmo_plugin.checkpoints.zoo.catalogue import ONNX, Weights
from rtmo_plugin.checkpoints.zoo.mirrors import get_mirrors_file, list_urls
from rtmo_plugin.errors import CheckpointError, ConfigError, MissingFileError, UnknownKeyError
from tests.conftest import ROOT
from tests.hostile_server import cache, server  # noqa: F401  (fixtures)
from tests.oracle import OFFICIAL_CONFIGS

pytestmark = pytest.mark.usefixtures("cache")
NAME = "rtmo-s_body7"


def test_catalogue_has_what_was_published():
    assert Counter(weights.kind for weights in CATALOGUE.values()) == {"checkpoint": 11, "onnx": 23, "backbone": 4}
    assert len({weights.file for weights in CATALOGUE.values()}) == 38
    assert len({weights.model_file for weights in CATALOGUE.values()}) == 38
    assert all(re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", w.sha256) for w in CATALOGUE.values() if w.sha256)


def test_hashes_are_those_of_the_names_but_for_archives():
    for weights in CATALOGUE.values():
        stated = re.search(r"-([0-9a-f]{8})(_\d{8})?\.pth$", weights.file)
        if stated:
            assert weights.sha256.startswith(stated[1])
    unknown = {weights.name for weights in CATALOGUE.values() if weights.sha256 is None}
    assert {"rtmo-m_body7-onnx", "yolox-m"} <= unknown
    others = {name for name in unknown if re.search(r"_(coco|crowdpose)-onnx$|-onnx-(ort|usls)", name)}
    assert unknown - others == {"rtmo-m_body7-onnx", "yolox-m"}
    assert len(others) == 15
    assert not find_weights("rtmo-s_body7-onnx").sha256.startswith("dac2bf74")  # the checkpoint's, in both names


def test_every_recipe_but_those_of_our_own_has_its_checkpoint():
    recipes = {path.stem for path in (ROOT / "configs").glob("rtmo-*.py")} - {
        "rtmo-t_coco",
        "rtmo-t_synthetic",
        "rtmo-t_fit32",
        "rtmo-s_custom",
        "rtmo-t_custom",
        *(f"rtmo-{size}_{name}" for size in "sm" for name in ("wholebody", "halpe", "halpe26", "ap10k", "ochuman")),
    }
    assert recipes == {weights.name for weights in CATALOGUE.values() if weights.kind == "checkpoint"}


def test_backbones_are_those_that_the_recipes_name():
    texts = "".join(path.read_text() for path in (ROOT / "configs/_base_/sizes").glob("*.py"))
    texts = re.sub(r'"\s+"', "", texts)
    for weights in CATALOGUE.values():
        if weights.kind == "backbone":
            assert weights.url in texts


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UnknownKeyError, match=r"No weights are named 'rtmo-s_body': did you mean rtmo-s_body7\?"):
        find_weights("rtmo-s_body")
    with pytest.raises(UnknownKeyError, match=r"No weights are named 'x'; `rtmo zoo list` shows the names"):
        find_weights("x")


@pytest.mark.parametrize(
    ("file", "sha256"),
    [
        ("a-0123abcd.pth", "0123abcd"),
        ("a-0123abcd_20231211.pth", "0123abcd"),
        ("a-640x640.pth", None),
        ("rtmw-l_384x288-20231122.pth", None),  # a date
        ("a-0123abcd_20231211.zip", None),  # the hash of what went into it
    ],
)
def test_hash_in_the_name_of_any_file_is_read(file, sha256):
    assert describe_url(f"https://example.org/{file}?download=true").sha256 == sha256


def test_address_in_the_catalogue_is_recognized():
    assert describe_url(CATALOGUE["yolox-m"].url) is CATALOGUE["yolox-m"]


def test_cache_is_where_torch_and_mmengine_look(monkeypatch):
    assert get_cache_folder() == Path(torch.hub.get_dir(), "checkpoints")
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert get_cache_folder() == Path(torch.hub.get_dir(), "checkpoints")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert get_cache_folder() == Path(torch.hub.get_dir(), "checkpoints")


def test_mirrors_come_from_the_variable_a_file_it_names_and_the_users_own_file(tmp_path, monkeypatch):
    published, file = CATALOGUE[NAME].url, CATALOGUE[NAME].file
    (tmp_path / "list.txt").write_text("# the institute's\nfile:///weights/{path}\n\n")
    get_mirrors_file().parent.mkdir(parents=True)
    get_mirrors_file().write_text("https://own.org/{file}?download=true  # mine\n")
    monkeypatch.setenv("RTMO_MIRRORS", f"http://first.org/w/ {tmp_path / 'list.txt'}")
    assert list_urls(CATALOGUE[NAME]) == [
        f"http://first.org/w/{file}",
        f"file:///weights/mmpose/v1/projects/rtmo/{file}",
        f"https://own.org/{file}?download=true",
        published,
    ]
    assert list_urls(Weights("mine", "https://example.org/mine.pth")) == ["https://example.org/mine.pth"]


@pytest.mark.parametrize("content", [b"https://a.org\nb.org\n", b"\xff\xfe"])
def test_wrong_list_of_mirrors_is_named(content):
    get_mirrors_file().parent.mkdir(parents=True)
    get_mirrors_file().write_bytes(content)
    with pytest.raises(ConfigError, match=r"mirrors\.txt(: b\.org is not an address| cannot be read)"):
        list_urls(CATALOGUE[NAME])


def test_folder_can_be_a_mirror(tmp_path, monkeypatch):
    content = b"of the folder"
    (tmp_path / CATALOGUE["yolox-m"].file).write_bytes(content)
    monkeypatch.setenv("RTMO_MIRRORS", tmp_path.as_uri())
    assert fetch(CATALOGUE["yolox-m"]).read_bytes() == content


def test_archives_have_a_second_place_after_the_publishers_own(monkeypatch):
    monkeypatch.setenv("RTMO_MIRRORS", "http://first.org")
    for weights in CATALOGUE.values():
        first, *places = list_urls(weights)
        others = ["huggingface.co"] if weights.is_archive else []
        assert first == f"http://first.org/{weights.file}"
        assert places[0] == weights.url
        assert [url.split("/")[2] for url in places[1:]] == others
        assert all(url.endswith(f"/{weights.file}") for url in places[1:])


def make_archive(*names, content=b"graph"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return file.getvalue()


def test_model_is_taken_out_of_its_archive(server, cache, monkeypatch):  # noqa: F811
    monkeypatch.setenv("RTMO_MIRRORS", server.url)
    weights = find_weights("rtmo-m_body7-onnx")
    server.files = {weights.file: make_archive("sdk/deploy.json", "../../sdk/end2end.onnx")}
    path = fetch(weights)
    assert path == locate(weights) == cache / weights.file.replace(".zip", ".onnx")
    assert path.read_bytes() == b"graph"
    assert [entry.name for entry in cache.iterdir() if entry.suffix != ".lock"] == [path.name]
    assert fetch(weights) == path
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", [name for name, weights in CATALOGUE.items() if weights.kind == ONNX])
def test_path_and_the_message_of_a_failed_download_name_the_same_file(server, cache, name, monkeypatch):  # noqa: F811
    monkeypatch.setattr("rtmo_plugin.checkpoints.zoo.fetching.list_urls", lambda _: [f"{server.url}/missing"])
    with pytest.raises(MissingFileError) as caught:
        fetch(CATALOGUE[name])
    assert f": put the file at {locate(CATALOGUE[name])}" in str(caught.value)
    locate(CATALOGUE[name]).write_bytes(b"graph")
    if CATALOGUE[name].sha256 is None:
        assert fetch(CATALOGUE[name]) == locate(CATALOGUE[name])


def test_model_that_is_not_in_an_archive_is_kept_under_a_name_of_its_own(server, cache, monkeypatch):  # noqa: F811
    monkeypatch.setenv("RTMO_MIRRORS", server.url)
    cache.mkdir(parents=True)
    (cache / "model.onnx").write_bytes(b"of another program")
    server.files = {"rtmo_s_640x640_coco.onnx": b"graph", "rtmo-t-onnx-xenova.onnx": b"graph"}
    assert fetch(find_weights("rtmo-s_coco-onnx")) == cache / "rtmo_s_640x640_coco.onnx"
    assert locate(find_weights("rtmo-t-onnx-xenova")) == cache / "rtmo-t-onnx-xenova.onnx"
    monkeypatch.setattr("rtmo_plugin.checkpoints.zoo.fetching.list_urls", lambda each: [f"{server.url}/{each.file}"])
    with pytest.raises(MissingFileError, match=r"begins with .*, and not with cb54dd04"):
        fetch(find_weights("rtmo-t-onnx-xenova"))
    assert (cache / "model.onnx").read_bytes() == b"of another program"


def test_another_export_is_named_where_one_cannot_be_had(server, monkeypatch):  # noqa: F811
    monkeypatch.setattr("rtmo_plugin.checkpoints.zoo.fetching.list_urls", lambda _: [f"{server.url}/missing"])
    with pytest.raises(MissingFileError, match="or use rtmo-s_body7-onnx-ort, another export of the same checkpoint"):
        fetch(find_weights("rtmo-s_body7-onnx"))


def make_weights(content=b"graph", url="https://example.org/mine.zip"):
    return Weights("mine", url, ONNX, hashlib.sha256(content).hexdigest())


def test_archive_that_was_put_there_by_hand_is_used_if_it_is_right(cache):  # noqa: F811
    cache.mkdir(parents=True)
    (cache / "mine.zip").write_bytes(make_archive("end2end.onnx", content=b"other"))
    with pytest.raises(CheckpointError, match=r"mine\.zip cannot be used: its SHA-256 begins .*: replace or delete"):
        fetch(make_weights())
    assert [entry.name for entry in cache.iterdir() if entry.suffix != ".lock"] == ["mine.zip"]
    (cache / "mine.zip").write_bytes(make_archive("end2end.onnx"))
    assert fetch(make_weights()).read_bytes() == b"graph"


def test_model_in_an_archive_and_in_the_cache_must_be_the_published_one(server, cache):  # noqa: F811
    server.files = {"mine.zip": make_archive("end2end.onnx", content=b"other")}
    weights = make_weights(url=f"{server.url}/mine.zip")
    with pytest.raises(MissingFileError, match="its SHA-256 begins with d9298a10, and not with"):
        fetch(weights)
    assert not [entry for entry in cache.iterdir() if entry.suffix != ".lock"]
    server.files = {"mine.zip": make_archive("sdk/end2end.onnx")}  # packed in another way, and the same model
    path = fetch(weights)
    path.write_bytes(b"other")
    with pytest.raises(CheckpointError, match=r"mine\.onnx is not the published file"):
        fetch(weights)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>", "is not a whole archive"),
        (make_archive("end2end.onnx", content=bytes(99)).replace(bytes(99), bytes(98) + b"x"), "is not a whole arch"),
        (make_archive("readme.md"), "holds 0 ONNX models, and not one"),
        (make_archive("a.onnx", "b.onnx"), "holds 2 ONNX models, and not one"),
    ],
    ids=["no archive", "damaged", "empty", "two"],
)
def test_archive_without_one_whole_model_is_refused(cache, content, words):  # noqa: F811
    cache.mkdir(parents=True)
    (cache / "mine.zip").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"mine\.zip cannot be used: it {words}"):
        fetch(Weights("mine", "https://example.org/mine.zip", ONNX))
    assert [entry.name for entry in cache.iterdir() if entry.suffix != ".lock"] == ["mine.zip"]


def test_table_shows_every_name_what_is_known_and_what_is_here(cache):  # noqa: F811
    cache.mkdir(parents=True)
    (cache / CATALOGUE[NAME].file).touch()
    rows = [re.split(r"  +", line) for line in format_catalogue().splitlines()]
    table = {row[0]: row[1:] for row in rows if row[0] in CATALOGUE}
    assert list(table) == list(CATALOGUE)
    assert table[NAME] == ["0.686", "COCO val2017", "39,766,454", "dac2bf74", "yes"]
    assert table["rtmo-l_body7-crowdpose"] == ["0.838", "CrowdPose test", "178,452,521", "5bafdc11", "no"]
    assert table["yolox-m"] == ["-", "-", "unknown", "unknown", "no"]
    assert rows[-1] == [f"Files are kept in {cache}."]


def test_addresses_and_ap_are_those_of_mmposes_index():
    models = [model for path in OFFICIAL_CONFIGS.rglob("*.yml") for model in yaml.safe_load(path.read_text())["Models"]]
    index = {model["Weights"]: model["Results"][0]["Metrics"]["AP"] for model in models}
    index[CATALOGUE["rtmo-s_coco"].url] = 0.677  # as in MMPose's tables: its index repeats CrowdPose's 0.673
    assert index == {weights.url: weights.ap for weights in CATALOGUE.values() if weights.kind == "checkpoint"}


def test_zoo_needs_no_torch():
    code = "import sys, rtmo_plugin.checkpoints.zoo; print({'torch', 'mmengine', 'cv2', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
