"""Classes and calibrated scores of exported files: what PyTorch says, whatever the cut."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from rtmo_plugin.errors import ConfigError, DataError, ExportError
from rtmo_plugin.export.checks.comparison import compare_with_pytorch
from rtmo_plugin.export.checks.tolerance import FLOAT32
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.writers.onnx_file import open_content, write_onnx
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.letterbox import apply_letterbox, make_input
from rtmo_plugin.runtime.model_info import ModelInfo
from rtmo_plugin.score_calibration import METADATA_KEY, ScoreCalibration
from tests.export.conftest import build_tiny
from tests.tiny_files import make_image

CUTS = ("end2end", "decoded", "raw")
CLASSES = ("cat", "dog", "bird")
CALIBRATION = ScoreCalibration(score_weight=-1.0, keypoint_weight=0.5, bias=0.2)  # the worst become the best


@pytest.fixture(scope="module")
def model():
    return build_tiny(head={"num_classes": len(CLASSES)})


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """Return a file of each cut of a model with three classes; all carry a calibration."""
    folder = tmp_path_factory.mktemp("classes")
    for cut in CUTS:
        options = ExportOptions(size_wh=(96, 64), cut=cut, dynamic=(), top_k=60)
        info = ModelInfo(model.head.schema, CLASSES, (96, 64), cut, dynamic=(), score_calibration=CALIBRATION)
        write_onnx(model, folder / f"{cut}.onnx", options, info)
    return {cut: folder / f"{cut}.onnx" for cut in CUTS}


@pytest.fixture(scope="module")
def open_file(files):
    """Return a function that opens the file of a cut, once."""
    return functools.cache(lambda cut: ExportedModel(files[cut]))


@pytest.mark.parametrize("cut", CUTS)
def test_everybody_has_the_class_of_pytorch(open_file, model, cut):
    image, _ = apply_letterbox(make_image(), (96, 64))
    with torch.no_grad():
        maps = model.head(model.extract_feat(torch.from_numpy(make_input(image, "float32"))[None]))
    logits = torch.cat([each[0].flatten(1).T for each in maps.class_logits])
    scores, labels = logits.sigmoid().max(dim=-1)
    exported = open_file(cut)
    people = exported.predict(image)
    assert len(people) > 3
    priors = np.abs(people.scores[:, None] - scores.numpy()).argmin(axis=1)
    np.testing.assert_array_equal(people.labels, labels.numpy()[priors])
    assert len({*people.labels.tolist()}) > 1
    assert exported.info.name_classes(people.labels) == [CLASSES[label] for label in people.labels]


def test_other_classes_are_told_apart(files, model):
    run = open_content(files["end2end"].read_bytes())

    def run_wrongly(images, score_thr):
        outputs = run(images, score_thr)
        return {**outputs, "labels": (outputs["labels"] + 1) % len(CLASSES)}

    options = ExportOptions(size_wh=(96, 64), dynamic=())
    assert compare_with_pytorch(model, run, options, FLOAT32).num_people > 0
    with pytest.raises(ExportError, match="gives a person another class"):
        compare_with_pytorch(model, run_wrongly, options, FLOAT32)


@pytest.mark.parametrize("cut", CUTS)
def test_calibrated_scores_rank_and_threshold(files, open_file, cut):
    image = make_image()
    plain, calibrated = (
        open_file(cut).predict(image),
        ExportedModel(files[cut], calibrated=True).predict(image),
    )
    expected = CALIBRATION.apply(plain.scores, plain.keypoint_scores)
    order = np.argsort(-expected, kind="stable")
    assert order.tolist() != sorted(order.tolist())
    np.testing.assert_allclose(calibrated.scores, expected[order], rtol=1e-6)
    np.testing.assert_array_equal(calibrated.keypoints, plain.keypoints[order])
    middle = float(np.median(expected))
    fewer = ExportedModel(files[cut], calibrated=True, score_thr=middle).predict(image)
    assert len(fewer) == (expected > middle).sum() < len(plain)


def test_calibration_travels_and_is_optional(model):
    info = ModelInfo(model.head.schema, score_calibration=CALIBRATION)
    strings = info.to_strings()
    assert ModelInfo.from_strings(strings, "x").score_calibration == CALIBRATION
    without = replace(info, score_calibration=None)
    assert METADATA_KEY not in without.to_strings()
    assert ModelInfo.from_strings(without.to_strings(), "x") == without
    with pytest.raises(DataError, match="x has metadata that this version cannot read"):
        ModelInfo.from_strings({**strings, METADATA_KEY: "{}"}, "x")


def test_calibrated_needs_a_calibration(tiny_file):
    with pytest.raises(ConfigError, match=r"tiny\.onnx holds no calibration of scores: export it with --calibration"):
        ExportedModel(tiny_file, calibrated=True)
