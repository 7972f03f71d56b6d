"""NaN and infinity are noticed by every comparison, tolerance and merge, and wherever a model answers."""

import json
import math
from dataclasses import fields

import cv2
import numpy as np
import onnx
import pytest
import torch

from rtmo_plugin import Pose
from rtmo_plugin.cli.output import print_json
from rtmo_plugin.errors import DataError, ExportError, NonFiniteError, StoppedError
from rtmo_plugin.export.checks.comparison import (
    _check_labels,
    _find_largest,
    _leave_out_unlikely,
    _measure_distance,
    verify,
)
from rtmo_plugin.export.checks.tolerance import FLOAT32, Differences, find_worst
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.jobs import open_job, run_job
from rtmo_plugin.models.heads.selection import select_priors
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.score_calibration import ScoreCalibration
from tests.conftest import run_command
from tests.export.conftest import build_tiny
from tests.media.test_sources import write_video
from tests.tiny_files import make_image

NAN = float("nan")
VALUES = [NAN, float("inf"), -float("inf")]


@pytest.mark.parametrize("kind", ["score", "box", "keypoint", "maps"])
def test_merged_differences_keep_nan(kind):
    bad, good = Differences(**{kind: NAN}), Differences(score=0.5, box=0.5, keypoint=0.5, maps=0.5)
    for merged in (bad.merge(good), good.merge(bad), bad.merge(bad)):
        assert math.isnan(getattr(merged, kind))
        assert merged.find_largest() == kind
        with pytest.raises(ExportError, match="by nan times the tolerance"):
            merged.check("The file", FLOAT32)


@pytest.mark.parametrize("place", range(3))
def test_the_largest_of_numbers_with_nan_is_nan(place):
    values = [0.1, 2.0]
    values.insert(place, NAN)
    assert math.isnan(find_worst(values))
    for outliers in (0.0, 0.02, 0.5):
        assert math.isnan(_find_largest(torch.tensor(values), outliers))


def test_no_tolerance_leaves_nan_out():
    errors = torch.zeros(100, 4)
    errors[7, 2] = NAN
    assert _leave_out_unlikely(errors, torch.zeros(100)).isnan().any()
    assert torch.isnan(_measure_distance(torch.tensor([NAN]), torch.tensor([1.0])))
    assert _measure_distance(torch.zeros(3), torch.zeros(3)) == 0
    with pytest.raises(ExportError, match="another class"):
        _check_labels(torch.tensor([[NAN, 0.5]]), torch.tensor([1]), FLOAT32)


@pytest.fixture(scope="module", params=["end2end", "decoded", "raw"])
def converted(request):
    """Return a model, options, and what computes the outputs of its file."""
    from tests.faults.test_04_correct_exports import compute

    model, options = build_tiny(), ExportOptions((96, 64), cut=request.param, top_k=20)
    return model, options, compute(model, options)


@pytest.mark.parametrize("value", VALUES)
def test_a_file_with_one_number_that_is_not_finite_is_refused(converted, value):
    model, options, run = converted

    def run_wrongly(images, score_thr):
        outputs = {name: each.copy() for name, each in run(images, score_thr).items()}
        list(outputs.values())[-1].flat[-1] = value
        return outputs

    with pytest.raises(ExportError, match="holds numbers that are not finite"):
        verify(model, run_wrongly, options, "model.onnx")


def test_a_model_that_diverged_is_not_compared():
    model = build_tiny()
    with torch.no_grad():
        model.head.head_module.out_kpt_vis[0].bias[0] = NAN
    with pytest.raises(NonFiniteError, match="its training diverged"):
        verify(model, lambda *_: {}, ExportOptions((96, 64)), "model.onnx")


@pytest.mark.parametrize("value", VALUES)
def test_selection_sees_scores_that_are_not_finite(value):
    class Predictions:
        class_logits, boxes = torch.zeros(1, 3, 1), torch.zeros(1, 3, 4)

    Predictions.class_logits[0, 1] = value
    with pytest.raises(NonFiniteError, match="not finite"):
        select_priors(Predictions)


@pytest.mark.parametrize("field", [each.name for each in fields(Detections) if each.name != "labels"])
def test_people_are_finite(field):
    arrays = {
        "boxes": np.zeros((1, 4)),
        "scores": np.zeros(1),
        "keypoints": np.zeros((1, 2, 2)),
        "keypoint_scores": np.zeros((1, 2)),
        "labels": np.zeros(1, np.int64),
        "uncertainty": np.zeros((1, 2, 2)),
    }
    Detections(**arrays).check_finite()
    arrays[field].flat[0] = NAN
    with pytest.raises(NonFiniteError):
        Detections(**arrays).check_finite()


def test_a_calibration_of_scores_is_finite():
    with pytest.raises(DataError, match="a weight is not finite"):
        ScoreCalibration.from_json('{"kind": "logistic", "score_weight": NaN, "keypoint_weight": 0, "bias": 0}')


def test_json_has_null_for_what_is_not_finite(capsys):
    print_json({"AP": NAN, "all": [1.0, float("inf"), (NAN,)], "name": "NaN"})
    printed = capsys.readouterr().out
    assert json.loads(printed, parse_constant=pytest.fail) == {"AP": None, "all": [1.0, None, [None]], "name": "NaN"}


@pytest.fixture(scope="module", params=["nan", pytest.param("inf", marks=pytest.mark.slow), "overflow"])
def diverged(request, tiny_model, tmp_path_factory):
    """Return a config and a checkpoint whose weights are NaN, infinite, or so large that the outputs are."""
    content = torch.load(tiny_model[1], weights_only=True)
    name = "backbone.stem.conv.conv.weight"
    if request.param == "overflow":
        content["state_dict"]["backbone.stem.conv.bn.weight"][:] = 3e38
        content["state_dict"]["backbone.stem.conv.bn.bias"][:] = 3e38
    else:
        content["state_dict"][name].view(-1)[0] = float(request.param)
    path = tmp_path_factory.mktemp("diverged") / "mine.pth"
    torch.save(content, path)
    return tiny_model[0], path


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    cv2.imwrite(str(folder / "image.png"), make_image())
    return folder / "image.png", write_video(folder / "clip.avi", 3)


def test_a_diverged_checkpoint_is_one_sentence_and_exit_code_1(diverged, sources, data_root, tmp_path, capsys):
    config, checkpoint = diverged
    image, video = sources
    out = tmp_path / "out"
    model = (checkpoint, "--config", config, "--device", "cpu")
    commands = [
        ("predict", checkpoint, image, "--json", *model[1:]),
        ("predict", checkpoint, image, "--out", out, *model[1:]),
        ("predict", checkpoint, image, "--records", "jsonl", "--out", tmp_path / "job", *model[1:]),
        ("track", checkpoint, video, "--out", tmp_path / "tracked.avi", *model[1:]),
        ("serve", *model, "--port", "0"),
        ("eval", config, checkpoint, "--data-root", data_root, "--work-dir", tmp_path / "work", "--json"),
        ("export", config, checkpoint, "--out", tmp_path / "model.onnx"),
    ]
    for command in commands:
        code, printed, err = run_command(capsys, *command)
        assert (code, printed) == (1, ""), (command, err)
        assert "not finite (NaN or infinity)" in err.splitlines()[-1], command
        assert err.splitlines()[-1].startswith("error: "), command
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("cut", ["end2end", "decoded", "raw"])
@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_a_diverged_file_is_one_sentence_and_exit_code_1(cut, runtime, value, files, sources, tmp_path, capsys):
    model = onnx.load(files[cut])
    for tensor in model.graph.initializer:
        if "out_cls" in tensor.name and tensor.name.endswith("bias"):
            values = np.full_like(onnx.numpy_helper.to_array(tensor), value)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / "mine.onnx")
    if cut == "raw":
        (tmp_path / "mine.npz").write_bytes(files[cut].with_suffix(".npz").read_bytes())
    with pytest.raises(NonFiniteError, match="not finite"):
        Pose(tmp_path / "mine.onnx", runtime=runtime)(make_image())
    if runtime == "openvino":  # which the commands take
        code, printed, err = run_command(capsys, "predict", tmp_path / "mine.onnx", sources[0], "--json")
        assert (code, printed) == (1, "")
        assert err.count("\n") == 1
        job = open_job(tmp_path / "mine.onnx", [str(sources[0])], tmp_path / "job")
        with pytest.raises(StoppedError, match="not finite") as caught:
            list(run_job(job))
        assert caught.value.exit_code == 1
