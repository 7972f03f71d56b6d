"""Files that users name: only regular ones are read, only so much of them, and none that grows while it is read."""

import os
import socket
import subprocess
import sys
import threading
import time
import zipfile

import mmpose.datasets  # noqa: F401  (registers MMPose's LoadImage)
import pytest
import torch

from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.plain_files import MAX_CONFIG_BYTES, check_config_files
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError, UserError
from rtmo_plugin.files import check_regular, read_bytes, read_json, read_text
from rtmo_plugin.labels import convert_file, read_coco
from rtmo_plugin.labels.image_inspection import inspect_image
from rtmo_plugin.media.image_headers import read_image_size
from rtmo_plugin.media.images import read_image
from rtmo_plugin.media.sources import read_frames
from rtmo_plugin.registry import TRANSFORMS
from rtmo_plugin.score_calibration import ScoreCalibration
from tests.conftest import ROOT

LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
)
MERGES = "\n".join(["k0: &k0 {x: 1}"] + [f"k{n}: &k{n} {{<<: [{', '.join([f'*k{n - 1}'] * 9)}]}}" for n in range(1, 9)])


@pytest.fixture(params=["device", "pipe", "socket", "folder", "link to a device"])
def odd(request, tmp_path):
    """Return a path that is not a regular file."""
    path = tmp_path / "odd.jpg"
    kind = request.param
    if kind == "device":
        yield "/dev/zero"
    elif kind == "pipe":
        os.mkfifo(path)
        yield path
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            yield path
    elif kind == "folder":
        path.mkdir()
        yield path
    else:
        path.symlink_to("/dev/zero")
        yield path


def load_as_training(path):
    return TRANSFORMS.build({"type": "rtmo_plugin.LoadImage"})({"img_path": str(path)})


READERS = [
    read_text,
    read_json,
    read_image,
    read_image_size,
    load_as_training,
    read_coco,
    ScoreCalibration.read,
    check_regular,
]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_only_regular_files_are_read(odd, read):
    start = time.perf_counter()
    with pytest.raises(DataError, match=r"only regular files are read|cannot be read: ") as found:
        read(odd)
    assert str(odd) in str(found.value)
    assert time.perf_counter() - start < 30


def test_odd_files_among_images_are_skipped(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (frame,) = read_frames([tmp_path / "pipe.jpg"])
    assert frame.error == f"{tmp_path / 'pipe.jpg'} is a pipe, not a regular file; only regular files are read."
    assert inspect_image(tmp_path / "pipe.jpg").kind == "image-missing"


def test_files_without_end_are_cut(tmp_path):
    path = tmp_path / "sparse.json"
    with path.open("wb") as file:
        file.truncate(5 * 10**9)
    for read in (read_text, read_json, read_image):
        with pytest.raises(DataError, match=r"sparse\.json has more than 2 GB, the limit for such a file"):
            read(path)
    with pytest.raises(DataError, match=r"larger than 2 GB, the limit for an image"):
        read_image_size(path)
    path.write_bytes(bytes(1001))
    with pytest.raises(DataError, match=r"has more than 0\.001 MB, the limit"):
        read_bytes(path, 1000)
    assert len(read_bytes(path, 1001)) == 1001


def test_a_file_that_grows_while_it_is_read_ends(tmp_path):
    path, stopped = tmp_path / "log.txt", threading.Event()
    path.write_bytes(b"x")

    def grow():
        with path.open("ab", buffering=0) as file:
            while not stopped.is_set() and file.tell() < 10**8:
                file.write(bytes(10**5))

    worker = threading.Thread(target=grow)
    worker.start()
    try:
        while not path.stat().st_size > 10**6:
            time.sleep(0.01)
        with pytest.raises(DataError, match=r"more than 1 MB"):
            read_bytes(path, 10**6)
    finally:
        stopped.set()
        worker.join()


def test_lines_end_as_python_reads_them(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert read_text(path) == path.read_text(encoding="utf-8-sig") == "one\ntwo\nthree\n"


@pytest.mark.parametrize("text", ["[" * 10**6, '{"a":' * 10**5, "1" * 10**6, '"' + "\\u0000" * 10], ids=len)
def test_odd_json_is_one_sentence(tmp_path, text):
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"odd\.json .*\.$"):
        read_json(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LAUGHS, "has more than 100,000 values with its aliases, the limit"),
        ("a: &a [*a]", "has an alias within what it repeats, at line 1"),
        ("a: &a {b: *a}", "has an alias within what it repeats"),
        (MERGES, "has more than 100,000 values"),
        ("a: !!python/object/apply:os.system ['touch /tmp/never']", "only plain data are read"),
        ("a: !!python/name:os.system ''", "only plain data are read"),
        ("a: !mine x", "has a value with the tag !mine, at line 1; only plain data are read"),
        ("[" * 5000, "is nested too deeply"),
        ("a: 2020-13-45", "cannot be read as YAML: month must be in 1..12"),
        ("a: [", "is not valid YAML"),
        ("x" * (MAX_CONFIG_BYTES + 1), "has more than 2 MB, the limit"),
        ("_base_: bomb.yaml", "builds on itself"),
    ],
    ids=range(12),
)  # fmt: skip
def test_yaml_configs_are_plain_and_small(tmp_path, text, sentence):
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    start = time.perf_counter()
    with pytest.raises(UserError, match=sentence.replace("!", r"\!")) as found:
        load_config(path)
    assert str(path) in str(found.value)
    assert time.perf_counter() - start < 30


def test_what_a_config_inherits_is_plain_and_small_too(tmp_path):
    (tmp_path / "base.yml").write_text(LAUGHS)
    (tmp_path / "config.yaml").write_text("_base_: [./base.yml]\nmodel: {type: x}\n")
    (tmp_path / "config.json").write_text('{"_base_": "base.yml"}')
    for name in ("config.yaml", "config.json"):
        with pytest.raises(ConfigError, match=r"base\.yml has more than 100,000 values"):
            load_config(tmp_path / name)


def test_good_configs_are_read(tmp_path):
    (tmp_path / "base.yaml").write_text("model: &m {type: RTMO, sizes: [1, 2.5, null, true]}\nagain: *m\n")
    (tmp_path / "config.yaml").write_text("_base_: base.yaml\nlr: 1e-3\n")
    cfg = load_config(tmp_path / "config.yaml")
    assert cfg.model.sizes == cfg.again.sizes == [1, 2.5, None, True]
    check_config_files(ROOT / "configs/rtmo-t_coco.py")


def test_a_bomb_takes_no_memory(tmp_path):
    """In a process of its own with 2 GB of memory."""
    path = tmp_path / "bomb.yaml"
    path.write_text(LAUGHS)
    code = (
        "import resource, sys; from rtmo_plugin.config.plain_files import check_config_files; from pathlib import Path;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;\n"
        f"try: check_config_files(Path({str(path)!r}))\n"
        "except ValueError: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50_000  # KiB


def test_checkpoints_that_unpack_to_gigabytes_are_refused(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("archive/data/0", "w") as member:
        for _ in range(200):
            member.write(bytes(2**20))
    with pytest.raises(UserError, match=r"bomb\.pth unpacks to 209\.7 MB, more than 4 times its size, the limit"):
        read_checkpoint(path)


def test_good_checkpoints_are_read(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(30_000_000)}}, tmp_path / "good.pth")
    assert read_checkpoint(tmp_path / "good.pth")["state_dict"]["a"].shape == (30_000_000,)


def test_yolo_bombs_and_deep_xml_are_one_sentence(tmp_path):
    (tmp_path / "data.yaml").write_text(f"{LAUGHS}\nnames: *a8\nkpt_shape: [1, 3]\n")
    with pytest.raises(DataError, match=r"data\.yaml is not YAML"):
        convert_file(tmp_path / "data.yaml", tmp_path / "out.json", source_format="yolo")
    (tmp_path / "data.yaml").write_text("#" * (2 * 10**6 + 1))
    with pytest.raises(DataError, match=r"data\.yaml has more than 2 MB, the limit"):
        convert_file(tmp_path / "data.yaml", tmp_path / "out.json", source_format="yolo")
    deep = tmp_path / "deep.xml"
    deep.write_text("<annotations><image name='a' width='1' height='1'>" + "<a>" * 10**5)
    with pytest.raises(DataError, match=r"deep\.xml .*\.$"):
        convert_file(deep, tmp_path / "out.json", source_format="cvat")
    depth = 10**5
    image = f"<image name='a' width='1' height='1'>{'<a>' * depth}{'</a>' * depth}</image>"
    deep.write_text(f"<annotations>{image}</annotations>")
    with pytest.raises(DataError, match=r"has no <skeleton>: .*\.$"):
        convert_file(deep, tmp_path / "out.json", source_format="cvat")


def test_missing_files_are_missing(tmp_path):
    for read in (read_text, check_regular):
        with pytest.raises(MissingFileError):
            read(tmp_path / "none")
        with pytest.raises(DataError, match="is not a file name"):
            read("a\0b")
