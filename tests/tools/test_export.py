"""The export tool as a user runs it: a file, or one sentence and exit code 2."""

import onnxruntime
import pytest
import torch

from rtmo_plugin.runtime.model_info import ModelInfo
from tests.export.conftest import build_tiny
from tests.oracle import OFFICIAL_CONFIGS, RECIPES
from tests.tools.test_tools import run_in_process


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save({"state_dict": build_tiny().state_dict()}, path)
    return path


def test_file_is_written_and_says_what_it_is(config, checkpoint, tmp_path, capsys):
    file = tmp_path / "models/tiny.onnx"
    options = ("--out", file, "--cut", "raw", "--input", "uint8", "--dynamic", "none")
    code, out, err = run_in_process(capsys, "export", config, checkpoint, *options)
    assert code == 0, err
    assert out.startswith(f"{file}: ")
    assert "MB, with .npz beside it, 64x64, raw, float32\n" in out
    assert "\ncompared with PyTorch: 1 image; the largest difference (maps) is " in out
    strings = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    info = ModelInfo.from_strings(strings, str(file))
    assert (info.name, info.classes, info.pad_value) == ("tiny", ("person",), (114, 114, 114))
    assert (info.size_wh, info.score_thr, info.nms_thr) == ((64, 64), 0.1, 0.65)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--out", "x.onnx", "--size", "640x400"], "error: The size 640x400 is not possible: width and height must be"),
        (["--out", "x.onnx", "--size", "large"], "error: --size large: write WIDTHxHEIGHT"),
        (["--out", "x.pth"], "error: --out x.pth: the file name of onnx must end with .onnx."),
        (["--out", "x.onnx", "--dynamic", "height"], "error: --dynamic height: choose batch"),
    ],
)
def test_mistake_is_one_sentence(config, checkpoint, capsys, options, sentence):
    code, _, err = run_in_process(capsys, "export", config, checkpoint, *options)
    assert code == 2
    assert err.startswith(sentence)
    assert err.count("\n") == 1


def test_model_that_is_no_rtmo_of_ours_is_refused(checkpoint, tmp_path, capsys):
    official = OFFICIAL_CONFIGS / f"{RECIPES['rtmo-t_body7']}.py"
    code, _, err = run_in_process(capsys, "export", official, checkpoint, "--out", tmp_path / "x.onnx")
    assert code == 2
    assert err.startswith(f"error: {official} does not describe an RTMO model of this package")
