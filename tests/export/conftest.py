"""A tiny RTMO with untrained weights whose scores differ, which the tests of files share."""

import numpy as np
import pytest
import torch

from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.oracle import build_model, load_ours, randomize, spread_scores
from tests.tiny import shrink

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 50, 3), np.uint8)


def build_tiny(recipe="rtmo-t_coco", seed=0, **changes):
    """Return a narrow model of a recipe in eval mode, with options of its head or preprocessor changed."""
    torch.manual_seed(seed)
    config = load_ours(recipe)
    config.model = shrink(config.model)
    for part, options in changes.items():
        config.model[part].update(options)
    model = build_model(config)
    randomize(model, seed)
    spread_scores(model.head, std=1.0)
    return model.eval()


def check_like_onnx_runtime(path, other):
    """Check that a file of the head's maps gives the information and the people that an ONNX file gives."""
    images = [IMAGE, IMAGE[:30]]
    model, onnx_model = ExportedModel(path, threads=1), ExportedModel(other, runtime="onnxruntime")
    assert model.info == onnx_model.info
    for people, expected in zip(model.predict_batch(images), onnx_model.predict_batch(images)):
        assert len(people) == len(expected) > 0
        np.testing.assert_allclose(people.scores, expected.scores, rtol=0, atol=1e-3)
        assert np.median(np.abs(people.keypoints - expected.keypoints)) < 0.05


@pytest.fixture(scope="session")
def tiny():
    return build_tiny()
