"""A tiny RTMO with untrained weights whose scores differ, which the tests of files share."""

import numpy as np
import pytest
import torch

from rtmo_plugin.errors import DataError
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


def check_damage_is_refused(path, folder, runtime):
    """Check that a file with metadata behind its model is refused if a bit is flipped or a part is missing."""
    damaged, content = folder / path.name, path.read_bytes()
    for begin in (b"", b"nothing"):
        damaged.write_bytes(begin)
        with pytest.raises(DataError, match=rf"cannot be read as a model of {runtime}: it does not begin as such"):
            ExportedModel(damaged)
    for end in (50, 100_000, len(content) // 2, content.rindex(b"PK\1\2")):
        damaged.write_bytes(content[:end])
        with pytest.raises(DataError, match="is not an RTMO model, or its end is missing"):
            ExportedModel(damaged)
    for place in np.random.default_rng(0).integers(16, content.rindex(b"PK\3\4"), 20):
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DataError, match=rf"{path.name} is damaged: the SHA-256 of its content is not that"):
            ExportedModel(damaged)


@pytest.fixture(scope="session")
def tiny():
    return build_tiny()
