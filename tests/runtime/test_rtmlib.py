"""rtmlib, which runs MMDeploy's files, runs ours unchanged and finds the same people."""

import numpy as np
import pytest

from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.letterbox import apply_letterbox
from tests.tiny_files import make_image

rtmlib = pytest.importorskip("rtmlib", reason="the package rtmlib is not installed")


def test_rtmlib_finds_our_people(files):
    image, _ = apply_letterbox(make_image(), (96, 64))
    model = ExportedModel(files["end2end"], size_wh=(96, 64), precision="float32")
    # rtmlib wants height before width, and suppresses duplicates once more with a threshold of its own.
    theirs = rtmlib.RTMO(str(files["end2end"]), (64, 96), nms_thr=1.0, score_thr=0.1, backend="onnxruntime")
    keypoints, scores = theirs(image)
    ours = model.predict(image)
    assert len(ours) > 3
    np.testing.assert_allclose(keypoints, ours.keypoints, rtol=0, atol=0.01)
    np.testing.assert_allclose(scores, ours.keypoint_scores, rtol=0, atol=1e-4)


def test_rtmlib_finds_nobody_where_nobody_is(files):
    theirs = rtmlib.RTMO(str(files["end2end"]), (64, 96), score_thr=0.99999, backend="onnxruntime")
    _, scores = theirs(np.zeros((64, 96, 3), np.uint8))
    assert not scores.any()
