"""Every command and ``Pose`` know the same names of models: one function tells what a name stands for."""

import shutil

import pytest
import torch

from rtmo_plugin import Pose
from rtmo_plugin.api import evaluate
from rtmo_plugin.checkpoints.model_names import ModelKind, find_kind_of_model, is_exported, locate_exported
from rtmo_plugin.checkpoints.reading import locate_checkpoint
from rtmo_plugin.checkpoints.zoo import find_weights, locate
from rtmo_plugin.engine.evaluating import run_evaluation
from rtmo_plugin.errors import CheckpointError, ConfigError, MissingFileError
from tests.conftest import run_command

PUBLISHED = "rtmo-m_body7-onnx"  # the one whose hash is not known, so that any model can lie in the cache


@pytest.fixture
def cached(files, tmp_path, monkeypatch):
    """Return the name of a published model, which lies in the cache already."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    path = locate(find_weights(PUBLISHED))
    path.parent.mkdir(parents=True)
    shutil.copy(files["end2end"], path)
    return PUBLISHED


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rtmo-s_body7-onnx", ModelKind.EXPORTED),
        ("rtmo-s_body7", ModelKind.CHECKPOINT),
        ("yolox-s", ModelKind.CHECKPOINT),
        ("rtmo-t_synthetic", ModelKind.CONFIG),
        ("rtmo-s_coco", ModelKind.CHECKPOINT),  # a name of weights and of a config
        ("a.onnx", ModelKind.EXPORTED),
        ("folder/A.ONNX", ModelKind.EXPORTED),
        ("a.xml", ModelKind.EXPORTED),
        ("a.pt2", ModelKind.EXPORTED),
        ("a.param", ModelKind.EXPORTED),
        ("a.pth", ModelKind.CHECKPOINT),
        ("folder/rtmo-s_body7-onnx", ModelKind.CHECKPOINT),  # a path is not a name
        ("a.json", ModelKind.RESULTS),
        ("a.py", ModelKind.CONFIG),
        ("https://example.org/a.onnx?version=2", ModelKind.EXPORTED),
        ("https://example.org/a.pth", ModelKind.CHECKPOINT),
        (find_weights("rtmo-s_body7-onnx").url, ModelKind.EXPORTED),  # a .zip
    ],
)
def test_a_name_says_what_it_stands_for(name, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_kind_of_model(name) is kind
    assert is_exported(name) == (kind is ModelKind.EXPORTED)


def test_a_local_file_comes_before_a_published_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rtmo-s_body7-onnx").write_bytes(b"")
    assert find_kind_of_model("rtmo-s_body7-onnx") is ModelKind.CHECKPOINT


def test_a_checkpoint_may_end_with_pt(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "mine.pt")
    assert find_kind_of_model(tmp_path / "mine.pt") is ModelKind.CHECKPOINT
    script = torch.jit.trace(torch.nn.Identity(), torch.zeros(1))
    torch.jit.save(script, str(tmp_path / "script.pt"))
    assert find_kind_of_model(tmp_path / "script.pt") is ModelKind.EXPORTED
    assert locate_checkpoint(tmp_path / "mine.pt") == tmp_path / "mine.pt"


def test_an_unknown_name_is_one_sentence_with_the_nearest():
    with pytest.raises(MissingFileError, match=r"named rtmo-s_body7-onx: did you mean rtmo-s_body7-onnx\?"):
        find_kind_of_model("rtmo-s_body7-onx")
    with pytest.raises(MissingFileError, match="rtmo zoo list"):
        Pose("zzz")


def test_info_and_eval_take_the_name_of_a_published_onnx_model(cached, tiny_model, files, data_root, capsys):
    code, out, err = run_command(capsys, "info", cached)
    assert code == 0, err
    assert "keypoint_names" in out
    expected = evaluate(tiny_model[0], files["end2end"], data_root=data_root)
    for found in (
        evaluate(tiny_model[0], cached, data_root=data_root),
        run_evaluation(tiny_model[0], cached, data_root=data_root).metrics,
    ):
        assert found["coco/AP"] == pytest.approx(expected["coco/AP"], abs=1e-9)
    assert locate_exported(cached).suffix == ".onnx"


def test_what_is_of_another_kind_is_one_sentence(cached, files, tmp_path):
    with pytest.raises(CheckpointError, match="is an exported file, and a checkpoint is needed: leave out -onnx"):
        locate_checkpoint(cached)
    with pytest.raises(CheckpointError, match=r"end2end\.onnx is an exported file, and a checkpoint is needed\.$"):
        locate_checkpoint(files["end2end"])
    (tmp_path / "a.py").write_text("")
    with pytest.raises(ConfigError, match=r"a\.py is a config: name an exported file"):
        Pose(tmp_path / "a.py")
