"""Files that can hold code are read without PyTorch first, and run only where their user exported or trusts them."""

import json
import pickle
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from rtmo_plugin import Pose
from rtmo_plugin.checkpoints.reading import read_checkpoint
from rtmo_plugin.errors import CheckpointError, ConfigError, DataError
from rtmo_plugin.export.writers.torch_files import write_program, write_torchscript
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.runtime.engines import open_engine
from rtmo_plugin.runtime.engines.torch_archive import TorchArchive
from rtmo_plugin.runtime.model_info import OUTPUT_NAMES, ModelInfo
from rtmo_plugin.runtime.trusted_files import locate_list
from tests.conftest import ROOT, run_command
from tests.export.conftest import build_tiny
from tests.export.test_onnx_file import make_info, make_options

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)


@pytest.fixture(autouse=True)
def _own_list(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


class Overwriter(torch.nn.Module):
    """A script that writes a file while PyTorch reads it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path, self.training = path, False

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0] + str(torch.from_file(state[0], shared=True, size=4).numel())
        self.training = state[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Bomb:
    """A pickled constant that makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def make_strings():
    info = ModelInfo(COCO, cut="decoded", size_wh=(96, 64), name="hostile")
    return {**info.to_strings(), OUTPUT_NAMES: "dets,labels,keypoints"}


@pytest.fixture
def script(tmp_path):
    """Return a hostile TorchScript file with good metadata, and the file that it makes."""
    mark = tmp_path / "mark"
    path = tmp_path / "hostile.pt"
    torch.jit.save(torch.jit.script(Overwriter(str(mark))), str(path), _extra_files=make_strings())
    return path, mark


@pytest.fixture
def program(tmp_path):
    """Return a hostile exported program with good metadata, and the file that it makes."""

    class Plus(torch.nn.Module):
        def forward(self, x):
            return (x + torch.ones(3),)

    mark, path, plain = tmp_path / "mark", tmp_path / "hostile.pt2", tmp_path / "plain.pt2"
    exported = torch.export.export(Plus(), (torch.zeros(3),))
    torch.export.save(exported, plain, extra_files=make_strings())
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(path, "w") as hostile:
        for entry in archive.infolist():
            content = archive.read(entry)
            is_pickled = content.startswith((b"PK\x03\x04", b"\x80"))
            hostile.writestr(entry.filename, pickle.dumps(Bomb(mark)) if is_pickled else content)
    plain.unlink()
    return path, mark


@pytest.fixture(params=["script", "program"])
def hostile(request):
    return request.getfixturevalue(request.param)


def test_info_reads_the_metadata_and_runs_nothing(hostile, capsys):
    path, mark = hostile
    code, out, err = run_command(capsys, "info", path, "--json")
    assert code == 0, err
    assert (json.loads(out)["name"], json.loads(out)["cut"]) == ("hostile", "decoded")
    assert not mark.exists()


def test_info_of_a_program_needs_no_torch(hostile):
    code = "import sys; sys.modules['torch'] = None; from rtmo_plugin.cli.main import main; main(['info', sys.argv[1]])"
    done = subprocess.run(
        [sys.executable, "-c", code, hostile[0]], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "hostile" in done.stdout


def test_nothing_else_runs_it_unless_it_is_trusted(hostile, tmp_path, capsys):
    path, mark = hostile
    for command in (
        ("predict", path, ROOT / "docs/demo.jpg"),
        ("predict", path, ROOT / "docs/demo.jpg", "--records", "jsonl", "--out", tmp_path / "job"),
        ("track", path, tmp_path / "none.mp4", "--out", tmp_path / "x.mp4"),
        ("serve", path, "--port", "0"),
    ):
        code, out, err = run_command(capsys, *command)
        assert (code, out) == (2, ""), command
        assert "holds code that runs when PyTorch opens it" in err.splitlines()[-1], (command, err)
        assert "--trust" in err
    with pytest.raises(ConfigError, match="was not exported by you on this machine"):
        open_engine(path)
    assert not mark.exists()


def test_the_scripts_of_the_tests_are_hostile(script):
    path, mark = script
    open_engine(path, trust=True)  # it runs, and is not the model that it says
    assert mark.exists()


def test_metadata_come_before_anything_else(script, tmp_path):
    path, mark = script
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "bare.pt", "w") as bare:
        for entry in archive.infolist():
            if "/extra/" not in entry.filename:
                bare.writestr(entry.filename, archive.read(entry))
    with pytest.raises(DataError, match="not an RTMO model: it has no metadata"):
        Pose(tmp_path / "bare.pt", trust=True)
    assert not mark.exists()


def test_a_script_that_calls_itself_a_checkpoint_is_refused(script, tmp_path):
    path, mark = script
    shutil.copy(path, tmp_path / "mine.pth")
    with pytest.raises(CheckpointError, match="holds code"):
        read_checkpoint(tmp_path / "mine.pth")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("suffix", "write"), [(".pt", write_torchscript), pytest.param(".pt2", write_program, marks=pytest.mark.slow)]
)
def test_own_files_need_no_trust_and_copies_of_others_are_trusted_once(tmp_path, suffix, write, monkeypatch):
    model = build_tiny()
    options = make_options(cut="decoded", dynamic=(), top_k=10)
    path = tmp_path / f"own{suffix}"
    write(model, path, options, make_info(model, options))
    expected = Pose(path, score_thr=0.0)(IMAGE)
    assert path.name in locate_list().read_text()
    moved = tmp_path / f"moved{suffix}"
    shutil.copy(path, moved)  # known by its content
    np.testing.assert_array_equal(Pose(moved, score_thr=0.0)(IMAGE).keypoints, expected.keypoints)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of-another-user"))
    with pytest.raises(ConfigError, match="holds code"):
        Pose(path)
    Pose(path, trust=True)
    assert len(Pose(path, score_thr=0.0)(IMAGE)) == len(expected)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more", b"")
    with pytest.raises(ConfigError, match="holds code"):  # no longer what was trusted
        Pose(path)


@pytest.mark.slow
def test_eval_and_analyze_take_a_file_that_is_trusted(tiny_model, data_root, tmp_path, capsys, monkeypatch):
    config, checkpoint = tiny_model
    model, options = build_tiny(), make_options(cut="decoded", dynamic=(), top_k=10)
    theirs = tmp_path / "theirs.pt2"
    write_program(model, theirs, options, make_info(model, options))
    common = ("--data-root", data_root, "--work-dir", tmp_path / "work")
    commands = [
        ("eval", config, theirs, *common, "--json"),
        ("eval", config, "--compare", checkpoint, theirs, *common),
        ("analyze", config, theirs, *common, "--out", tmp_path / "page.html"),
    ]
    for index, command in enumerate(commands):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / f"of-another-user-{index}"))
        code, _, err = run_command(capsys, *command)
        assert (code, "with --trust (rtmo predict" in err.splitlines()[-1]) == (2, True), (command, err)
        code, out, err = run_command(capsys, *command, "--trust")
        assert code == 0, (command, err)
        assert "AP" in out
    code, _, err = run_command(capsys, "eval", config, checkpoint, *common, "--trust")
    assert code == 0, err


def test_a_list_that_cannot_be_written_is_reported(script, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    TorchArchive.read(script[0]).check_trusted(is_trusted_now=True)
    assert "has to be opened with --trust each time" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "large"])
@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_damaged_archives_are_one_sentence(script, tmp_path, kind, suffix, capsys):
    content = script[0].read_bytes()
    path = tmp_path / f"damaged{suffix}"
    if kind == "large":  # metadata of 100 MB that are 100 kB in the archive
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/constants.pkl", b"")
            archive.writestr("a/extra/cut", b" " * 10**8)
    else:
        path.write_bytes({"empty": b"", "text": b"junk", "cut": content[: len(content) // 2]}[kind])
    code, out, err = run_command(capsys, "info", path)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {path} cannot be read as a file of PyTorch")
    assert err.count("\n") == 1


CONFIG = """
open({mark!r}, "w").close()
model = dict(type="Pose", backbone=dict(type="CSPDarknet"), neck=dict(type="Mine"), head=dict(type="A"))
width = [x for x in range(3)]
train_cfg = dict(max_epochs=7)
train_dataloader = dict(batch_size=width[1], dataset=dict(type="Data", ann_file="a.json", pipeline=[]))
"""


def test_info_runs_no_config(tmp_path, capsys):
    mark = tmp_path / "mark"
    (tmp_path / "base.py").write_text(CONFIG.format(mark=str(mark)))
    (tmp_path / "mine.py").write_text(
        '_base_ = "base.py"\ntrain_cfg = dict(val_interval=2)\nmodel = dict(head=dict(num_classes=2))\n'
    )
    for name in ("base.py", "mine.py"):
        code, out, err = run_command(capsys, "info", tmp_path / name, "--json")
        assert code == 0, err
        values = json.loads(out)
        assert (values["backbone"], values["neck"], values["head"]) == ("CSPDarknet", "Mine", "A")
        assert (values["epochs"], values["training_labels"]) == (7, ["a.json"])
        assert values["batch_size"] == "computed"
    assert values["classes"] == 2
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "model = (",
        "_base_ = 'mine.py'",
        "_base_ = ['mine.py', 'mine.py']",
        "_base_ = 'none.py'",
        "x = 1/0",
        "model = " + "[" * 999,
        "a = dict(b=1)\nmodel = a" + ".b" * 1500,
        "model = " + "-" * 1500 + "1",
        "model = {[]: 1}",
    ],
    ids=lambda text: text[:25],
)
def test_a_config_that_cannot_be_read_is_one_sentence(tmp_path, text, capsys):
    (tmp_path / "mine.py").write_text(text)
    code, out, err = run_command(capsys, "info", tmp_path / "mine.py")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_configs_that_build_on_each_other_twice_are_read_a_limited_number_of_times(tmp_path, capsys):
    for number in range(19):
        (tmp_path / f"{number}.py").write_text(f"_base_ = ['{number + 1}.py', '{number + 1}.py']\n")
    (tmp_path / "19.py").write_text("model = dict(type='x')\n")
    code, _, err = run_command(capsys, "info", tmp_path / "0.py")
    assert (code, "more than 100 others" in err) == (2, True), err
